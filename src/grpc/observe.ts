/** What every call has in common: its id, its refusal while the server closes, its status, its metric and log line. */
import { Metadata, status as codes, type StatusObject } from "@grpc/grpc-js";
import { AtPatchError } from "../shared/errors.ts";
import { contextOf, type CallContext, type GrpcCall } from "./context.ts";
import { inferenceService } from "./definitions.ts";
import type { GrpcLogger, GrpcServices } from "./services.ts";
import { toAtPatchError, toStatus } from "./status.ts";

/** Statuses that OpenTelemetry's conventions count as the server's own failures. */
const serverFaults: ReadonlySet<codes> = new Set([
  codes.UNKNOWN,
  codes.DEADLINE_EXCEEDED,
  codes.UNIMPLEMENTED,
  codes.INTERNAL,
  codes.UNAVAILABLE,
  codes.DATA_LOSS,
]);

export interface CallRule {
  readonly method: string;
  /** Answered also while the server is closing. */
  readonly whileClosing: boolean;
}

export class CallObserver {
  readonly #services: GrpcServices;
  readonly #logger: GrpcLogger;

  constructor(services: GrpcServices, logger: GrpcLogger) {
    this.#services = services;
    this.#logger = logger;
  }

  /**
   * Runs the handler of a call. Never throws.
   * @returns its answer, or the status to end the call with
   */
  async handle<T>(
    grpc: GrpcCall,
    rule: CallRule,
    handler: (context: CallContext) => Promise<T>,
  ): Promise<{ answer: T } | { failure: StatusObject }> {
    const { health, tokens, tracing } = this.#services;
    // No span for those that ask whether the server is well.
    const context = contextOf(grpc, tokens, rule.whileClosing ? null : tracing);
    try {
      if (health.phase === "closing" && !rule.whileClosing) {
        throw new AtPatchError("ATPATCH_NOT_READY", "the server is draining");
      }
      const answer = await handler(context);
      this.#note(rule, context, codes.OK);
      return { answer };
    } catch (error) {
      const known = toAtPatchError(error, context.id);
      const failure = toStatus(known);
      failure.metadata.merge(answerMetadata(context));
      this.#note(rule, context, failure.code, known);
      return { failure };
    }
  }

  #note({ method }: CallRule, context: CallContext, code: codes, error?: AtPatchError): void {
    const { id, call } = context;
    const status = codes[code];
    context.endTrace({
      name: `${inferenceService}/${method}`,
      attributes: {
        "rpc.system": "grpc",
        "rpc.service": inferenceService,
        "rpc.method": method,
        "rpc.grpc.status_code": code,
        "atpatch.request_id": id,
        ...(serverFaults.has(code) && { "error.type": status }),
      },
      failed: serverFaults.has(code),
    });
    const ms = performance.now() - call.startedAt;
    this.#services.metrics.grpc(method, status, ms);
    const line = { request: id, method, status, ms: Math.round(ms * 100) / 100 };
    if (error === undefined) this.#logger.debug(line, "answered");
    else if (code === codes.INTERNAL) {
      this.#logger.error({ ...line, err: error.cause ?? error, code: error.code }, "call failed");
    } else this.#logger.info(line, "refused");
  }
}

/** Metadata that goes before the answer of a call: what the call is known by, and more. */
export function answerMetadata(
  { id, traceparent }: CallContext,
  more: Readonly<Record<string, string>> = {},
): Metadata {
  const metadata = new Metadata();
  const all = { "x-request-id": id, ...(traceparent !== undefined && { traceparent }), ...more };
  for (const [name, value] of Object.entries(all)) metadata.set(name, value);
  return metadata;
}
