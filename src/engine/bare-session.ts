/** One session of an unpatched model on the calling thread, for comparisons on the command line. It blocks while it runs. */
import { dirname } from "node:path";
import { InferenceSession } from "onnxruntime-node";
import { AtPatchError, messageOf } from "../shared/errors.ts";
import type { Tensor } from "../shared/tensor.ts";
import { cleanRuntimeMessage } from "./ort-errors.ts";
import { fromOrtTensor, toOrtTensor } from "./ort-tensors.ts";
import { silenceRuntime } from "./runtime-telemetry.ts";

export interface BareSession {
  /** All outputs of the model. */
  run(inputs: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>>;
  close(): Promise<void>;
}

/**
 * Loads the model file itself, by path.
 * @throws AtPatchError ATPATCH_BAD_MODEL when the runtime cannot load it; `run` throws ATPATCH_UNPROCESSABLE
 */
export async function openBareSession(path: string, threads: number): Promise<BareSession> {
  silenceRuntime();
  const session = await InferenceSession.create(path, {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel: "all",
    logSeverityLevel: 3,
    extra: { session: { intra_op: { allow_spinning: "0" } } },
  }).catch((cause: unknown) => {
    const reason = cleanRuntimeMessage(messageOf(cause), dirname(path));
    throw new AtPatchError("ATPATCH_BAD_MODEL", `the runtime cannot load the model: ${reason}`, { cause });
  });
  return {
    async run(inputs) {
      const feeds = Object.fromEntries(
        Object.entries(inputs).map(([name, tensor]) => [name, toOrtTensor(name, tensor)]),
      );
      try {
        const outputs = await session.run(feeds);
        return Object.fromEntries(
          Object.entries(outputs).map(([name, value]) => [name, fromOrtTensor(name, value)]),
        );
      } catch (cause) {
        const reason = cleanRuntimeMessage(messageOf(cause), dirname(path));
        throw new AtPatchError("ATPATCH_UNPROCESSABLE", `the model refused the inputs: ${reason}`, { cause });
      }
    },
    close: () => session.release(),
  };
}
