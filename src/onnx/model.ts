/**
 * The in-memory form of an ONNX model: the generated protobuf messages themselves, so that unknown fields survive a
 * round trip. This file adds the few readers and makers that every graph edit needs.
 */
import { create } from "@bufbuild/protobuf";
import {
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  NodeProtoSchema,
  TensorProtoSchema,
  TensorProto_DataType as DataType,
  TypeProtoSchema,
  ValueInfoProtoSchema,
  type AttributeProto,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from "./generated/onnx_pb.ts";

export { AttributeType, DataType };
export type { AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto };

/** Values an attribute maker accepts; a `number[]` is ints unless wrapped by {@link floats}, a `string[]` strings. */
export type AttributeValue =
  | number
  | bigint
  | string
  | readonly number[]
  | readonly string[]
  | GraphProto
  | TensorProto
  | Float
  | Floats;

/** Marks a number as a float attribute (a plain number is an int attribute). */
export interface Float {
  readonly float: number;
}
/** Marks a list as a floats attribute. */
export interface Floats {
  readonly floats: readonly number[];
}
export const float = (value: number): Float => ({ float: value });
export const floats = (values: readonly number[]): Floats => ({ floats: values });

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();

/** Makes an attribute; its `type` is always set, since readers decide by it. */
export function attribute(name: string, value: AttributeValue): AttributeProto {
  const base = { name };
  if (typeof value === "number" || typeof value === "bigint") {
    return create(AttributeProtoSchema, { ...base, type: AttributeType.INT, i: BigInt(value) });
  }
  if (typeof value === "string") {
    return create(AttributeProtoSchema, { ...base, type: AttributeType.STRING, s: utf8.encode(value) });
  }
  if (isStrings(value)) {
    const strings = value.map((each) => utf8.encode(each));
    return create(AttributeProtoSchema, { ...base, type: AttributeType.STRINGS, strings });
  }
  if (Array.isArray(value)) {
    return create(AttributeProtoSchema, {
      ...base,
      type: AttributeType.INTS,
      ints: value.map((v) => BigInt(v as number)),
    });
  }
  if ("float" in value)
    return create(AttributeProtoSchema, { ...base, type: AttributeType.FLOAT, f: value.float });
  if ("floats" in value) {
    return create(AttributeProtoSchema, { ...base, type: AttributeType.FLOATS, floats: [...value.floats] });
  }
  if ("$typeName" in value && value.$typeName === "onnx.GraphProto") {
    return create(AttributeProtoSchema, { ...base, type: AttributeType.GRAPH, g: value });
  }
  return create(AttributeProtoSchema, { ...base, type: AttributeType.TENSOR, t: value as TensorProto });
}

function isStrings(value: AttributeValue): value is readonly string[] {
  return Array.isArray(value) && typeof value[0] === "string";
}

/** Makes a node. `inputs` may hold '' for an absent optional input. */
export function node(
  opType: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, AttributeValue>> = {},
  options: { name?: string; domain?: string } = {},
): NodeProto {
  return create(NodeProtoSchema, {
    opType,
    input: [...inputs],
    output: [...outputs],
    name: options.name ?? "",
    domain: options.domain ?? "",
    attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)),
  });
}

/** The attribute of that name, if the node carries it. */
export function findAttribute(of: NodeProto, name: string): AttributeProto | undefined {
  return of.attribute.find((candidate) => candidate.name === name);
}

/** An int attribute, or `fallback` when absent. Looks at the declared type, not at which field is set. */
export function intAttribute(of: NodeProto, name: string, fallback: number): number {
  const found = findAttribute(of, name);
  return found?.type === AttributeType.INT ? Number(found.i) : fallback;
}

/** A float attribute, or `fallback` when absent. */
export function floatAttribute(of: NodeProto, name: string, fallback: number): number {
  const found = findAttribute(of, name);
  return found?.type === AttributeType.FLOAT ? found.f : fallback;
}

/** An ints attribute, or undefined when absent. */
export function intsAttribute(of: NodeProto, name: string): number[] | undefined {
  const found = findAttribute(of, name);
  return found?.type === AttributeType.INTS ? found.ints.map(Number) : undefined;
}

/** A string attribute, or undefined when absent. */
export function stringAttribute(of: NodeProto, name: string): string | undefined {
  const found = findAttribute(of, name);
  return found?.type === AttributeType.STRING ? fromUtf8.decode(found.s) : undefined;
}

/** A float32 initializer. */
export function floatTensor(name: string, dims: readonly number[], values: ArrayLike<number>): TensorProto {
  const data = Float32Array.from(values);
  return create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: DataType.FLOAT,
    rawData: new Uint8Array(data.buffer),
  });
}

/** An int64 initializer. */
export function int64Tensor(name: string, dims: readonly number[], values: readonly number[]): TensorProto {
  const data = BigInt64Array.from(values.map(BigInt));
  return create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: DataType.INT64,
    rawData: new Uint8Array(data.buffer),
  });
}

/** An int32 initializer. */
export function int32Tensor(name: string, dims: readonly number[], values: readonly number[]): TensorProto {
  return create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: DataType.INT32,
    rawData: new Uint8Array(Int32Array.from(values).buffer),
  });
}

/** A graph input or output. A string dimension is symbolic; without `shape` the rank is left open. */
export function valueInfo(
  name: string,
  elemType: DataType,
  shape?: readonly (number | string)[],
): ValueInfoProto {
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, {
      value: {
        case: "tensorType",
        value: {
          elemType,
          ...(shape && {
            shape: {
              dim: shape.map((dim) =>
                typeof dim === "number"
                  ? { value: { case: "dimValue" as const, value: BigInt(dim) } }
                  : { value: { case: "dimParam" as const, value: dim } },
              ),
            },
          }),
        },
      },
    }),
  });
}

/** Opset version the model imports for ai.onnx ("" and "ai.onnx" are the same domain); 1 when it imports none. */
export function opsetOf(model: ModelProto): number {
  const found = model.opsetImport.find((entry) => entry.domain === "" || entry.domain === "ai.onnx");
  return found ? Number(found.version) : 1;
}
