/** A gRPC call as the services see it. */
import type { ServerUnaryCall } from "@grpc/grpc-js";
import { clientHeader, clientKey, type Call } from "../service/call.ts";
import { bearerToken, requireScope, type Principal, type Scope, type TokenTable } from "../service/tokens.ts";
import type { TraceEnd, Tracing } from "../service/trace.ts";
import { requestIdOf } from "../shared/request-id.ts";

/** What every form of a call has. */
export type GrpcCall = Pick<ServerUnaryCall<unknown, unknown>, "metadata" | "getDeadline" | "getPeer"> & {
  once(event: "cancelled", listener: () => void): unknown;
};

export interface CallContext {
  readonly id: string;
  /** With the deadline and the cancellation of the caller. */
  readonly call: Call;
  /** The span of the call as metadata, when traces are kept. */
  readonly traceparent: string | undefined;
  /** Ends the span of the call, if there is one. */
  endTrace(end: TraceEnd): void;
  /** @throws AtPatchError ATPATCH_UNAUTHENTICATED, ATPATCH_FORBIDDEN */
  authorize(scope: Scope): void;
}

/** @param tracing begins a span for the call; null for none */
export function contextOf(grpc: GrpcCall, tokens: TokenTable, tracing: Tracing | null): CallContext {
  const header = (name: string): string | undefined => {
    const [value] = grpc.metadata.get(name);
    return typeof value === "string" ? value : undefined;
  };
  const gone = new AbortController();
  grpc.once("cancelled", () => gone.abort());
  const authorization = header("authorization");
  const token = bearerToken(authorization);
  // A token that is refused is refused once a call asks for a scope, as over HTTP.
  let refuse = (): void => {};
  let principal: Principal | null = null;
  try {
    if (token !== undefined) principal = tokens.identify(token, addressOf(grpc.getPeer()));
  } catch (error) {
    refuse = () => {
      throw error;
    };
  }
  const now = performance.now();
  // Milliseconds since 1970, or infinite.
  const left = Number(grpc.getDeadline()) - Date.now();
  const id = requestIdOf(header("x-request-id"));
  const caller = { traceparent: header("traceparent"), tracestate: header("tracestate") };
  const trace = tracing?.begin(caller, now);
  return {
    id,
    traceparent: trace?.traceparent,
    endTrace: (end) => trace?.end(end),
    call: {
      id,
      ...clientKey(header(clientHeader)),
      startedAt: now,
      // Without the port: connections of one machine wait in one line.
      address: grpc.getPeer().replace(/:\d+$/, ""),
      signal: gone.signal,
      principal,
      ...(trace && { trace }),
      ...(Number.isFinite(left) && { deadline: now + left }),
    },
    authorize: (scope) => {
      refuse();
      requireScope(principal, scope, authorization !== undefined);
    },
  };
}

/** The address of a peer "address:port" or "[address]:port". */
function addressOf(peer: string): string {
  return peer.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
}
