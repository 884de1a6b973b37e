/** Models that are one fused operator, and tensors to run them with. */
import { create } from "@bufbuild/protobuf";
import { InferenceSession } from "onnxruntime-node";
import { fromOrtTensor, toOrtTensor } from "../engine/ort-tensors.ts";
import { encodeModel } from "../onnx/codec.ts";
import { GraphProtoSchema, ModelProtoSchema, OperatorSetIdProtoSchema } from "../onnx/generated/onnx_pb.ts";
import { DataType, node, valueInfo, type ModelProto } from "../onnx/model.ts";
import type { Tensor } from "../shared/tensor.ts";

export type Attributes = Parameters<typeof node>[3];

/** Deterministic values in about [-1, 1]. */
export function random(shape: readonly number[], seed: number): Tensor {
  const count = shape.reduce((a, b) => a * b, 1);
  const data = Float32Array.from(
    { length: count },
    (_, i) => Math.sin((i + 1) * 12.9898 * (seed + 1.3)) * 1.1,
  );
  return { datatype: "FP32", shape, data };
}

export const int32 = (shape: readonly number[], values: readonly number[]): Tensor => ({
  datatype: "INT32",
  shape,
  data: Int32Array.from(values),
});
export const int64 = (shape: readonly number[], values: readonly number[]): Tensor => ({
  datatype: "INT64",
  shape,
  data: BigInt64Array.from(values.map(BigInt)),
});
export const bool = (shape: readonly number[], values: readonly number[]): Tensor => ({
  datatype: "BOOL",
  shape,
  data: Uint8Array.from(values),
});
export const u8 = (shape: readonly number[], seed: number): Tensor => ({
  datatype: "UINT8",
  shape,
  data: Uint8Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => (i * 37 * (seed + 1)) % 251),
});

const types: Readonly<Record<string, DataType>> = {
  FP32: DataType.FLOAT,
  INT32: DataType.INT32,
  INT64: DataType.INT64,
  BOOL: DataType.BOOL,
  UINT8: DataType.UINT8,
};

export interface Variant {
  readonly operator: string;
  readonly domain?: string;
  readonly opset?: number;
  /** Inputs in order; null: absent. Known sizes are declared, so that heads and widths are known as in real models. */
  readonly inputs: readonly (Tensor | null)[];
  readonly attributes: Attributes;
  readonly outputs?: number;
}

export function modelOf({
  operator,
  domain = "com.microsoft",
  opset = 17,
  inputs,
  attributes,
  outputs = 1,
}: Variant): ModelProto {
  const names = inputs.map((input, i) => (input ? `in${i}` : ""));
  const results = Array.from({ length: outputs }, (_, i) => `out${i}`);
  return create(ModelProtoSchema, {
    irVersion: 10n,
    opsetImport: ["", "com.microsoft"].map((name) =>
      create(OperatorSetIdProtoSchema, { domain: name, version: name === "" ? BigInt(opset) : 1n }),
    ),
    graph: create(GraphProtoSchema, {
      name: "g",
      node: [node(operator, names, results, attributes, { domain, name: "fused" })],
      input: inputs.flatMap((input, i) =>
        input ? [valueInfo(`in${i}`, types[input.datatype] ?? 1, input.shape)] : [],
      ),
      output: results.map((name) =>
        valueInfo(name, operator === "QLinearSoftmax" ? DataType.UINT8 : DataType.FLOAT),
      ),
    }),
  });
}

export async function run(model: ModelProto, inputs: Variant["inputs"]): Promise<Record<string, Tensor>> {
  const session = await InferenceSession.create(encodeModel(model), {
    graphOptimizationLevel: "disabled",
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 4,
  });
  const feeds = Object.fromEntries(
    inputs.flatMap((input, i) => (input ? [[`in${i}`, toOrtTensor(`in${i}`, input)]] : [])),
  );
  const results = await session.run(feeds);
  await session.release();
  return Object.fromEntries(
    Object.entries(results).map(([name, value]) => [name, fromOrtTensor(name, value)]),
  );
}
