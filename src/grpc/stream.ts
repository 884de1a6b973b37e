/** `ModelStreamInfer`: requests one after the other, one answer each, in their order. */
import { once } from "node:events";
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { AtPatchError } from "../shared/errors.ts";
import type { CallContext } from "./context.ts";
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
  const requests = stream[Symbol.asyncIterator]() as AsyncIterator<InferRequestMessage>;
  const { signal } = context.call;
  for (;;) {
    const next = await nextUnless(ending, requests);
    if (next === null) throw new AtPatchError("ATPATCH_NOT_READY", "the server is draining");
    if (next.done === true || signal?.aborted) return;
    const answer = await answerTo(services, next.value, context);
    if (signal?.aborted) return;
    // A caller who leaves meanwhile ends the wait.
    if (!stream.write(answer)) await once(stream, "drain", { ...(signal && { signal }) }).catch(() => {});
  }
}

/** The next value, or null when the signal comes first. */
async function nextUnless<T>(
  ending: AbortSignal,
  values: AsyncIterator<T>,
): Promise<IteratorResult<T, unknown> | null> {
  if (ending.aborted) return null;
  let stop = (): void => {};
  const ended = new Promise<null>((resolve) => {
    stop = () => resolve(null);
  });
  ending.addEventListener("abort", stop);
  try {
    return await Promise.race([values.next(), ended]);
  } finally {
    ending.removeEventListener("abort", stop);
  }
}

async function answerTo(
  services: GrpcServices,
  request: InferRequestMessage,
  context: CallContext,
): Promise<object> {
  const call = { ...context.call, startedAt: performance.now() };
  try {
    return { infer_response: await infer(services, request, { ...context, call }, () => {}) };
  } catch (error) {
    return {
      error_message: toAtPatchError(error, context.id).message,
      infer_response: { id: request.id, model_name: request.model_name },
    };
  }
}
