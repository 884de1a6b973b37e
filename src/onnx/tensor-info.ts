/** Graph inputs and outputs in the terms of the Open Inference Protocol. */
import type { Datatype, TensorInfo } from "../shared/tensor.ts";
import { DataType, type GraphProto, type ValueInfoProto } from "./model.ts";

const datatypeNames: Partial<Record<DataType, Datatype>> = {
  [DataType.BOOL]: "BOOL",
  [DataType.UINT8]: "UINT8",
  [DataType.UINT16]: "UINT16",
  [DataType.UINT32]: "UINT32",
  [DataType.UINT64]: "UINT64",
  [DataType.INT8]: "INT8",
  [DataType.INT16]: "INT16",
  [DataType.INT32]: "INT32",
  [DataType.INT64]: "INT64",
  [DataType.FLOAT16]: "FP16",
  [DataType.BFLOAT16]: "BF16",
  [DataType.FLOAT]: "FP32",
  [DataType.DOUBLE]: "FP64",
  [DataType.STRING]: "BYTES",
};

/** Name, datatype and shape of a graph input or output; an untyped one reads as FP32 of unknown shape. */
export function tensorInfo(value: ValueInfoProto): TensorInfo {
  const type = value.type?.value.case === "tensorType" ? value.type.value.value : undefined;
  return {
    name: value.name,
    datatype: (type && datatypeNames[type.elemType as DataType]) ?? "FP32",
    shape: (type?.shape?.dim ?? []).map((dim) =>
      dim.value.case === "dimValue" ? Number(dim.value.value) : null,
    ),
  };
}

/** Inputs a caller has to feed: those that are no initializers at the same time. */
export function requiredInputs(graph: GraphProto): TensorInfo[] {
  const initializers = new Set(graph.initializer.map((initializer) => initializer.name));
  return graph.input.filter((input) => !initializers.has(input.name)).map(tensorInfo);
}
