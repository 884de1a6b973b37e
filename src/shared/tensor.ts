import { AtPatchError } from "./errors.ts";

/** Datatype names of the Open Inference Protocol, plus BF16 as KServe and Triton use it. */
export const datatypes = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  /** IEEE half precision, as bit patterns. */
  FP16: Uint16Array,
  /** bfloat16, as bit patterns. */
  BF16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const;

export type NumericDatatype = keyof typeof datatypes;
export type Datatype = NumericDatatype | "BYTES";

export type TypedArray =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

/** A dense tensor, row-major. */
export interface Tensor {
  readonly datatype: NumericDatatype;
  readonly shape: readonly number[];
  readonly data: TypedArray;
}

/** A tensor of byte strings, row-major, each behind its length as a 32-bit little-endian number. */
export interface BytesTensor {
  readonly datatype: "BYTES";
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** Whatever a protocol can carry. */
export type AnyTensor = Tensor | BytesTensor;

/** Name, datatype and shape of a model input or output; `null` marks a dimension that varies. */
export interface TensorInfo {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly (number | null)[];
}

/** Number of elements of a shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** Arrays of one kind as one, in their order; at least one. */
export function joinArrays<A extends TypedArray>(parts: readonly A[]): A {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const whole = new (parts[0]!.constructor as new (length: number) => A)(length);
  let end = 0;
  for (const part of parts) {
    whole.set(part as never, end);
    end += part.length;
  }
  return whole;
}

/** Bytes one element of a datatype takes. */
export function byteSize(datatype: NumericDatatype): number {
  return datatypes[datatype].BYTES_PER_ELEMENT;
}

/**
 * Builds a tensor after checking that `data` has as many elements as `shape` says.
 * @throws AtPatchError ATPATCH_BAD_INPUT when they disagree
 */
export function tensor(datatype: NumericDatatype, shape: readonly number[], data: TypedArray): Tensor {
  if (data.length !== elementCount(shape)) {
    throw new AtPatchError(
      "ATPATCH_BAD_INPUT",
      `a ${datatype} tensor of shape [${shape.join(", ")}] needs ${elementCount(shape)} elements, got ${data.length}`,
    );
  }
  return { datatype, shape, data };
}

/** A float32 tensor. */
export function float32(shape: readonly number[], data: ArrayLike<number>): Tensor {
  return tensor("FP32", shape, data instanceof Float32Array ? data : Float32Array.from(data));
}

/** An int32 tensor. */
export function int32(shape: readonly number[], data: ArrayLike<number>): Tensor {
  return tensor("INT32", shape, data instanceof Int32Array ? data : Int32Array.from(data));
}
