/** `ModelStreamInfer`: requests one after the other, one answer each, in their order. */
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { AtPatchError } from "../shared/errors.ts";
import type { CallContext } from "./context.ts";
import type { UnreadRequest } from "./definitions.ts";
import { infer } from "./inference.ts";
import type { InferRequestMessage } from "./messages.ts";
import type { GrpcServices } from "./services.ts";
import { toAtPatchError } from "./status.ts";

export type InferStream = ServerDuplexStream<InferRequestMessage, object>;

/**
 * Answers until the caller has no more requests. A request that fails is answered with its error, and the stream goes on.
 * @param ending aborted when the server closes
 * @throws AtPatchError ATPATCH_NOT_READY when the server closes, after the answer that was being made
 */
export async function inferStream(
  services: GrpcServices,
  stream: InferStream,
  context: CallContext,
  ending: AbortSignal,
): Promise<void> {
  const { signal } = context.call;
  let ended = false;
  stream.once("end", () => {
    ended = true;
  });
  for (;;) {
    if (ending.aborted) throw new AtPatchError("ATPATCH_NOT_READY", "the server is draining");
    if (ended || signal?.aborted) return;
    const request = stream.read() as InferRequestMessage | null;
    if (request === null) {
      await oneOf(stream, ["readable", "end"], [ending, ...(signal ? [signal] : [])]);
      continue;
    }
    const answer = await answerTo(services, request, context);
    if (signal?.aborted) return;
    if (!stream.write(answer)) await oneOf(stream, ["drain"], signal ? [signal] : []);
  }
}

/** Resolves at the first of the events, or when a signal is aborted. */
function oneOf(
  stream: InferStream,
  events: readonly string[],
  signals: readonly AbortSignal[],
): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of events) stream.off(event, done);
      for (const signal of signals) signal.removeEventListener("abort", done);
      resolve();
    };
    for (const event of events) stream.on(event, done);
    for (const signal of signals) signal.addEventListener("abort", done);
    if (signals.some((signal) => signal.aborted)) done();
  });
}

async function answerTo(
  services: GrpcServices,
  request: InferRequestMessage,
  context: CallContext,
): Promise<object> {
  const call = { ...context.call, startedAt: performance.now() };
  try {
    const { fault } = request as UnreadRequest;
    if (fault !== undefined) throw fault;
    return { infer_response: await infer(services, request, { ...context, call }, () => {}) };
  } catch (error) {
    return {
      error_message: toAtPatchError(error, context.id).message,
      infer_response: { id: request.id, model_name: request.model_name },
    };
  }
}
