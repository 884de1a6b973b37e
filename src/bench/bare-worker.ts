/** A worker thread around one bare onnxruntime session: what the same model costs without AtPatch. */
import { parentPort, workerData } from "node:worker_threads";
import * as ort from "onnxruntime-node";
import { toOrtTensor } from "../engine/ort-tensors.ts";
import type { Tensor } from "../shared/tensor.ts";

export interface BareStart {
  readonly path: string;
  readonly threads: number;
}
/** Inputs by name. */
export type BareRequest = Readonly<Record<string, Tensor>>;

const start = workerData as BareStart;
const session = await ort.InferenceSession.create(start.path, {
  intraOpNumThreads: start.threads,
  interOpNumThreads: 1,
  executionMode: "sequential",
  graphOptimizationLevel: "all",
  logSeverityLevel: 3,
  extra: { session: { intra_op: { allow_spinning: "0" } } },
});
parentPort?.on("message", (request: BareRequest) => {
  const feeds = Object.entries(request).map(([name, tensor]) => [name, toOrtTensor(name, tensor)] as const);
  void session
    .run(Object.fromEntries(feeds))
    .then((outputs) => parentPort?.postMessage(Object.values(outputs).map((output) => output.data)));
});
parentPort?.postMessage("ready");
