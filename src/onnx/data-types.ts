/** Element types of ONNX tensors: bytes per element and the typed array that holds them. */
import type { TypedArray } from "../shared/tensor.ts";
import { DataType } from "./model.ts";

type ArrayMaker = new (buffer: ArrayBuffer) => TypedArray;

const types: ReadonlyMap<number, { readonly bits: number; readonly array: ArrayMaker | null }> = new Map([
  [DataType.FLOAT, { bits: 32, array: Float32Array }],
  [DataType.UINT8, { bits: 8, array: Uint8Array }],
  [DataType.INT8, { bits: 8, array: Int8Array }],
  [DataType.UINT16, { bits: 16, array: Uint16Array }],
  [DataType.INT16, { bits: 16, array: Int16Array }],
  [DataType.INT32, { bits: 32, array: Int32Array }],
  [DataType.INT64, { bits: 64, array: BigInt64Array }],
  [DataType.BOOL, { bits: 8, array: Uint8Array }],
  [DataType.FLOAT16, { bits: 16, array: Uint16Array }],
  [DataType.DOUBLE, { bits: 64, array: Float64Array }],
  [DataType.UINT32, { bits: 32, array: Uint32Array }],
  [DataType.UINT64, { bits: 64, array: BigUint64Array }],
  [DataType.COMPLEX64, { bits: 64, array: null }],
  [DataType.COMPLEX128, { bits: 128, array: null }],
  [DataType.BFLOAT16, { bits: 16, array: Uint16Array }],
  [DataType.FLOAT8E4M3FN, { bits: 8, array: null }],
  [DataType.FLOAT8E4M3FNUZ, { bits: 8, array: null }],
  [DataType.FLOAT8E5M2, { bits: 8, array: null }],
  [DataType.FLOAT8E5M2FNUZ, { bits: 8, array: null }],
  [DataType.UINT4, { bits: 4, array: null }],
  [DataType.INT4, { bits: 4, array: null }],
  [DataType.FLOAT4E2M1, { bits: 4, array: null }],
  // Numbers of newer element types (float8e8m0, uint2, int2) as in onnx.proto.
  [24, { bits: 8, array: null }],
  [25, { bits: 2, array: null }],
  [26, { bits: 2, array: null }],
]);

/** Bits one element takes; undefined for strings and unknown types. */
export function bitsOf(dataType: number): number | undefined {
  return types.get(dataType)?.bits;
}

/** Whether the format knows the element type at all. */
export function isKnownType(dataType: number): boolean {
  return dataType === DataType.STRING || types.has(dataType);
}

/** Array class for an element type; null for types that have none. */
export function arrayOf(dataType: number): ArrayMaker | null {
  return types.get(dataType)?.array ?? null;
}

/** Bytes a dense tensor takes; undefined when the type has no fixed size or the size is beyond 2^53. */
export function byteLength(dataType: number, dims: readonly bigint[]): number | undefined {
  const bits = bitsOf(dataType);
  if (bits === undefined) return undefined;
  const bytes = (dims.reduce((product, dim) => product * dim, 1n) * BigInt(bits) + 7n) / 8n;
  return bytes <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(bytes) : undefined;
}

const floats: ReadonlySet<number> = new Set([
  DataType.FLOAT,
  DataType.FLOAT16,
  DataType.BFLOAT16,
  DataType.DOUBLE,
]);

/** Whether the type is one of the floating-point types a graph computes in. */
export function isFloat(dataType: number): boolean {
  return floats.has(dataType);
}
