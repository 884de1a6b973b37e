/** Calls over gRPC, tensors as raw contents. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { loadDefinitions } from "../../grpc/definitions.ts";
import { writeRaw } from "../../shared/raw-tensor.ts";
import { createGrpcClient } from "../../test/grpc-client.ts";
import type { LoadResult } from "../load-generator.ts";
import type { Call } from "./call.ts";
import { floats } from "./http-call.ts";
import type { Question } from "./question.ts";

interface InferAnswer {
  readonly outputs: readonly { name: string; contents?: { fp32_contents?: readonly number[] } }[];
  readonly raw_output_contents?: readonly Uint8Array[];
}

export async function createGrpcCall(port: number, { model, inputs, output }: Question): Promise<Call> {
  const { requestSerialize, path } = (await loadDefinitions()).core["ModelInfer"]!;
  const tensors = Object.entries(inputs);
  const body = requestSerialize({
    model_name: model,
    inputs: tensors.map(([name, { datatype, shape }]) => ({ name, datatype, shape })),
    raw_input_contents: tensors.map(([, tensor]) => writeRaw(tensor)),
  });
  const worker = new Worker(new URL("grpc-load.mjs", import.meta.url), {
    workerData: { address: `127.0.0.1:${port}`, path, body },
  });
  return {
    good: "OK",
    async once() {
      const client = await createGrpcClient(port);
      try {
        const { code, error, answer } = await client.call("ModelInfer", body);
        if (code !== "OK") throw new Error(`${code}: ${error}`);
        const { outputs, raw_output_contents: raw = [] } = answer as unknown as InferAnswer;
        const index = outputs.findIndex(({ name }) => name === output);
        if (raw[index]) return floats(raw[index]);
        return [...(outputs[index]?.contents?.fp32_contents ?? [])];
      } finally {
        client.close();
      }
    },
    async load(connections, seconds) {
      worker.postMessage({ connections, seconds });
      return ((await once(worker, "message")) as [LoadResult])[0];
    },
    async end() {
      await worker.terminate();
    },
  };
}
