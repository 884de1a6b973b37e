/** What the services know of the request they work for; nothing of the transport. */
import { randomUUID } from "node:crypto";
import { allows, type Principal } from "./tokens.ts";
import { AtPatchError } from "../shared/errors.ts";
import type { RequestTrace } from "./trace.ts";
import { modeCodes, type Mode } from "../shared/patched-model.ts";

export interface Call {
  /** When the request arrived, on the `performance.now()` clock. */
  readonly startedAt: number;
  /** When the caller stops waiting, on the same clock; the server's own deadline holds besides. */
  readonly deadline?: number;
  /** Where the request came from; callers of one address wait in one line. */
  readonly address?: string;
  /** Aborted when the caller has gone. */
  readonly signal?: AbortSignal;
  /** Whose token came with the request, if any did. */
  readonly principal: Principal | null;
  /** What the client calls itself, so that it always gets the same detector while a canary runs. */
  readonly client?: string | undefined;
  /** Id of the request. */
  readonly id?: string | undefined;
  /** Where its parts are noted, when a trace is kept. */
  readonly trace?: RequestTrace;
}

/** Header, or metadata entry, by which a client keeps its detector while a canary runs. */
export const clientHeader = "x-atpatch-client";

/** The client's key out of the header. */
export function clientKey(header: string | string[] | undefined): Pick<Call, "client"> {
  return typeof header === "string" && header !== "" ? { client: header.slice(0, 256) } : {};
}

/** What a request is drawn for the canary by: the client's own key, else the token it uses, else the request itself. */
export function canaryKey({ client, principal, id }: Call): string {
  if (client !== undefined) return `client:${client}`;
  if (principal !== null) return `token:${principal.name}`;
  return `request:${id ?? randomUUID()}`;
}

/** How requests are treated; the same for every model. */
export interface CallRules {
  /**
   * Whether anybody may ask for a weaker mode: true as long as the operator configured no token, since then only this
   * machine reaches the server; otherwise the `predict:override` scope is needed.
   */
  readonly openOverride: boolean;
}

/**
 * The mode a request gets. The policy is the default and the ceiling: a stronger mode is answered with the policy's.
 * @throws AtPatchError ATPATCH_UNAUTHENTICATED or ATPATCH_FORBIDDEN when a weaker one is asked for without the scope
 */
export function effectiveMode(policy: Mode, asked: Mode | undefined, call: Call, rules: CallRules): Mode {
  if (asked === undefined || modeCodes[asked] >= modeCodes[policy]) return policy;
  if (rules.openOverride) return asked;
  const what = `mode "${asked}" is weaker than the policy's "${policy}"`;
  if (call.principal === null) {
    throw new AtPatchError(
      "ATPATCH_UNAUTHENTICATED",
      `${what}: a token with the scope predict:override is needed`,
    );
  }
  if (!allows(call.principal, "predict:override")) {
    throw new AtPatchError(
      "ATPATCH_FORBIDDEN",
      `${what}: token "${call.principal.name}" lacks the scope predict:override`,
    );
  }
  return asked;
}
