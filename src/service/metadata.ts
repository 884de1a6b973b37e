/** What the server and its models say of themselves in the Open Inference Protocol. */
import type { Datatype, TensorInfo } from "../shared/tensor.ts";
import type { ServedModel } from "./models.ts";

export const serverName = "atpatch";

/** Extensions of the protocol that are served, by the names clients look for. */
export const extensions: readonly string[] = [
  "binary_tensor_data",
  "classification",
  "model_configuration",
  "model_repository",
  "parameters",
  "statistics",
];

export interface TensorMetadata {
  name: string;
  datatype: Datatype;
  /** -1 marks a dimension that varies. */
  shape: number[];
}

export interface ModelMetadata {
  name: string;
  versions: string[];
  platform: string;
  inputs: TensorMetadata[];
  outputs: TensorMetadata[];
  properties: Record<string, string>;
}

const platform = "onnx_onnxv1";

export function modelMetadata({ name, version, engine }: ServedModel): ModelMetadata {
  const { inputs, outputs, sites, fingerprint } = engine.description;
  return {
    name,
    versions: [version],
    platform,
    inputs: inputs.map(tensorMetadata),
    outputs: outputs.map(tensorMetadata),
    properties: { atpatch_sites: String(sites.length), atpatch_fingerprint: fingerprint },
  };
}

function tensorMetadata({ name, datatype, shape }: TensorInfo): TensorMetadata {
  return { name, datatype, shape: shape.map((dim) => dim ?? -1) };
}

export interface TensorConfig {
  name: string;
  /** The datatype behind `TYPE_`; BYTES is called `TYPE_STRING`. */
  data_type: string;
  /** Without the first dimension when the model takes batches. */
  dims: number[];
}

/** The part of a model configuration that load generators read. */
export interface ModelConfig {
  name: string;
  platform: string;
  backend: string;
  /** Most samples of a request, or 0 when the first dimension is not a number of samples. */
  max_batch_size: number;
  input: TensorConfig[];
  output: TensorConfig[];
}

export function modelConfig({ name, engine, maxInstances }: ServedModel): ModelConfig {
  const { inputs, outputs } = engine.description;
  const batched = [...inputs, ...outputs].every(({ shape }) => shape[0] === null);
  const config = (info: TensorInfo): TensorConfig => ({
    name: info.name,
    data_type: `TYPE_${info.datatype === "BYTES" ? "STRING" : info.datatype}`,
    dims: (batched ? info.shape.slice(1) : info.shape).map((dim) => dim ?? -1),
  });
  return {
    name,
    platform,
    backend: "onnxruntime",
    max_batch_size: batched ? maxInstances : 0,
    input: inputs.map(config),
    output: outputs.map(config),
  };
}
