/** Bearer tokens: who may do what. Only digests are kept. */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { AtPatchError, messageOf } from "../shared/errors.ts";
import { FailedTokens } from "./failed-tokens.ts";
import { guardActor } from "./guard.ts";

/** `feedback:write` marks recorded samples; `recordings:read` sees them, which are what users sent. */
export const scopes = [
  "read",
  "detectors:write",
  "policy:write",
  "predict:override",
  "feedback:write",
  "recordings:read",
  "admin",
] as const;
export type Scope = (typeof scopes)[number];

/** Who a request speaks for; `name` goes into the history. */
export interface Principal {
  readonly name: string;
  readonly scopes: ReadonlySet<Scope>;
}

/** A token as it is configured: the digest, never the token. */
export interface TokenEntry extends Principal {
  /** SHA-256 of the token's UTF-8 bytes, 64 hex digits. */
  readonly sha256: string;
}

/** Whether `principal` has `scope`; `admin` has them all. */
export function allows(principal: Principal, scope: Scope): boolean {
  return principal.scopes.has(scope) || principal.scopes.has("admin");
}

/** The token of an authorization header or its like, if it is one. */
export function bearerToken(header: string | undefined): string | undefined {
  return /^Bearer +([\x21-\x7e]{1,512})$/i.exec(header ?? "")?.[1];
}

/**
 * @param given whether the caller sent any authorization at all
 * @throws AtPatchError ATPATCH_UNAUTHENTICATED, ATPATCH_FORBIDDEN
 */
export function requireScope(principal: Principal | null, scope: Scope, given: boolean): void {
  if (principal === null) {
    const what = given
      ? "the token is not known"
      : "a bearer token is needed (authorization: Bearer <token>)";
    throw new AtPatchError("ATPATCH_UNAUTHENTICATED", what);
  }
  if (!allows(principal, scope)) {
    throw new AtPatchError("ATPATCH_FORBIDDEN", `token "${principal.name}" lacks the scope ${scope}`);
  }
}

/** Failures of one address that are let pass a minute, unless settings say otherwise. */
const defaultFailures = 30;

/** The tokens a server knows. */
export class TokenTable {
  #entries: readonly { readonly principal: Principal; readonly digest: Buffer }[] = [];
  readonly #failures: FailedTokens;

  constructor(entries: readonly TokenEntry[], failures = new FailedTokens(defaultFailures)) {
    this.#failures = failures;
    this.replace(entries);
  }

  /** Knows these tokens from now on, and no others; requests that were let in go on. */
  replace(entries: readonly TokenEntry[]): void {
    this.#entries = entries.map((entry) => ({
      principal: { name: entry.name, scopes: entry.scopes },
      digest: Buffer.from(entry.sha256, "hex"),
    }));
  }

  /**
   * The owner of a token that came from an address, or null; an address that has sent too many wrong ones is not answered.
   * @throws AtPatchError ATPATCH_RATE_LIMITED
   */
  identify(token: string, address: string): Principal | null {
    if (!this.#failures.allows(address)) {
      throw new AtPatchError(
        "ATPATCH_RATE_LIMITED",
        "too many wrong tokens came from this address; try again later",
      );
    }
    const found = this.find(token);
    if (found === null) this.#failures.failed(address);
    return found;
  }

  /** The owner of a token, or null. Compares digests in constant time and looks at every entry whatever it finds. */
  find(token: string): Principal | null {
    const digest = createHash("sha256").update(token).digest();
    let found: Principal | null = null;
    for (const entry of this.#entries) {
      if (timingSafeEqual(entry.digest, digest)) found ??= entry.principal;
    }
    return found;
  }
}

/** A fresh token: 192 random bits, URL-safe. */
export function generateToken(): string {
  return randomBytes(24).toString("base64url");
}

/** An entry that has every scope. */
export function adminEntry(name: string, token: string): TokenEntry {
  return {
    name,
    scopes: new Set<Scope>(["admin"]),
    sha256: createHash("sha256").update(token).digest("hex"),
  };
}

/** Names in the history that are no tokens. */
const reserved: readonly string[] = [guardActor, "shipped"];

/**
 * Reads a tokens file: a JSON list of `{"name", "scopes", "sha256"}`.
 * @throws AtPatchError ATPATCH_BAD_SETTINGS naming the entry and field; nothing is half-read
 */
export function parseTokens(text: string): TokenEntry[] {
  const fail = (what: string): never => {
    throw new AtPatchError("ATPATCH_BAD_SETTINGS", `ATPATCH_TOKENS_FILE: ${what}`);
  };
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch (error) {
    return fail(`it is not JSON: ${messageOf(error)}`);
  }
  if (!Array.isArray(list) || list.length === 0) return fail("expected a list with at least one token");
  const names = new Set<string>();
  return list.map((entry: unknown, index) => {
    const { name, scopes: granted, sha256 } = (entry ?? {}) as Record<string, unknown>;
    if (typeof name !== "string" || !/^[\w.@-]{1,64}$/.test(name)) {
      return fail(`[${index}].name: expected 1 to 64 letters, digits or . _ @ -`);
    }
    if (names.has(name)) return fail(`[${index}].name: "${name}" is there twice`);
    if (reserved.includes(name))
      return fail(`[${index}].name: "${name}" stands for the server itself in the history`);
    names.add(name);
    if (
      !Array.isArray(granted) ||
      !granted.every((scope): scope is Scope => scopes.includes(scope as Scope))
    ) {
      return fail(`[${index}].scopes: expected a list of ${scopes.join(", ")}`);
    }
    if (typeof sha256 !== "string" || !/^[0-9a-f]{64}$/i.test(sha256)) {
      return fail(`[${index}].sha256: expected 64 hex digits, the SHA-256 of the token`);
    }
    return { name, scopes: new Set(granted), sha256: sha256.toLowerCase() };
  });
}
