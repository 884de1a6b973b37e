/** A worker thread around one bare onnxruntime session: what the same model costs without AtPatch. */
import { parentPort, workerData } from "node:worker_threads";
import * as ort from "onnxruntime-node";

export interface BareStart {
  readonly path: string;
  readonly threads: number;
}
export interface BareRequest {
  readonly input: string;
  readonly data: Float32Array<ArrayBuffer>;
  readonly shape: readonly number[];
}

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
  void session
    .run({ [request.input]: new ort.Tensor("float32", request.data, request.shape) })
    .then((outputs) => parentPort?.postMessage(Object.values(outputs).map((output) => output.data)));
});
parentPort?.postMessage("ready");
