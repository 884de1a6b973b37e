/** The values of a TensorProto as a typed array, and back. */
import { create } from "@bufbuild/protobuf";
import type { TypedArray } from "../shared/tensor.ts";
import { AtPatchError } from "../shared/errors.ts";
import { fromBfloat16, fromHalf } from "../shared/float-bits.ts";
import { arrayOf, byteLength } from "./data-types.ts";
import { TensorProtoSchema, TensorProto_DataLocation as DataLocation } from "./generated/onnx_pb.ts";
import { DataType, type TensorProto } from "./model.ts";

/** Where the bytes of an external tensor are. */
export interface ExternalReference {
  /** File name relative to the folder of the model. */
  readonly location: string;
  readonly offset: number;
  /** Bytes; undefined: up to the end of the file. */
  readonly length: number | undefined;
}

export function isExternal(tensor: TensorProto): boolean {
  return tensor.dataLocation === DataLocation.EXTERNAL;
}

/**
 * The reference of an external tensor.
 * @throws AtPatchError ATPATCH_BAD_MODEL when it has no location or its numbers cannot be read
 */
export function externalReference(tensor: TensorProto): ExternalReference {
  const entries = new Map(tensor.externalData.map(({ key, value }) => [key, value]));
  const location = entries.get("location") ?? "";
  if (location === "") throw bad(tensor, "is stored outside the file but names no file");
  return {
    location,
    offset: wholeNumber(tensor, "offset", entries.get("offset") ?? "0"),
    length: entries.has("length") ? wholeNumber(tensor, "length", entries.get("length") ?? "") : undefined,
  };
}

function wholeNumber(tensor: TensorProto, what: string, text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw bad(tensor, `has the external ${what} "${text.slice(0, 40)}", expected a whole number of bytes`);
  }
  return value;
}

/**
 * Values of a tensor with its own memory; float16 and bfloat16 stay bit patterns.
 * @param external bytes of an external tensor's data, when the caller has them
 * @returns null for strings, sub-byte and float8 types, and for external data that was not given
 * @throws AtPatchError ATPATCH_BAD_MODEL when the data do not fit the dimensions
 */
export function tensorValues(tensor: TensorProto, external?: Uint8Array): TypedArray | null {
  const ArrayClass = arrayOf(tensor.dataType);
  const expected = byteLength(tensor.dataType, tensor.dims);
  if (!ArrayClass || expected === undefined) return null;
  const raw = isExternal(tensor) ? external : rawBytes(tensor);
  if (raw === undefined) return null;
  if (raw.length !== expected) {
    throw bad(tensor, `holds ${raw.length} bytes, its dimensions need ${expected}`);
  }
  // Not `raw.slice()`: that of a Buffer is no copy.
  return new ArrayClass(new Uint8Array(raw).buffer);
}

/** Little-endian bytes of an inline tensor, from `raw_data` or the typed field of its type. */
function rawBytes(tensor: TensorProto): Uint8Array {
  if (tensor.rawData.length > 0) return tensor.rawData;
  const ArrayClass = arrayOf(tensor.dataType);
  const bytes = (array: TypedArray): Uint8Array => new Uint8Array(array.buffer, 0, array.byteLength);
  switch (tensor.dataType) {
    case DataType.FLOAT:
      return bytes(Float32Array.from(tensor.floatData));
    case DataType.DOUBLE:
      return bytes(Float64Array.from(tensor.doubleData));
    case DataType.INT64:
      return bytes(BigInt64Array.from(tensor.int64Data));
    case DataType.UINT64:
      return bytes(BigUint64Array.from(tensor.uint64Data));
    case DataType.UINT32:
      return bytes(Uint32Array.from(tensor.uint64Data, Number));
    case DataType.INT32:
      return bytes(Int32Array.from(tensor.int32Data));
    case DataType.INT16:
      return bytes(Int16Array.from(tensor.int32Data));
    case DataType.INT8:
      return bytes(Int8Array.from(tensor.int32Data));
    case DataType.UINT8:
    case DataType.BOOL:
      return bytes(Uint8Array.from(tensor.int32Data));
    default:
      // float16, bfloat16 and uint16 keep their bits in int32_data.
      return ArrayClass ? bytes(Uint16Array.from(tensor.int32Data)) : new Uint8Array();
  }
}

/** The values as plain numbers, for small constants; undefined when they are not at hand or more than `limit`. */
export function smallNumbers(tensor: TensorProto, limit = 4096): number[] | undefined {
  const count = tensor.dims.reduce((product, dim) => product * dim, 1n);
  if (count > BigInt(limit) || isExternal(tensor)) return undefined;
  const values = tensorValues(tensor);
  if (!values) return undefined;
  const half = tensor.dataType === DataType.FLOAT16;
  const brain = tensor.dataType === DataType.BFLOAT16;
  return Array.from(values as ArrayLike<number | bigint>, (value) =>
    half ? fromHalf(Number(value)) : brain ? fromBfloat16(Number(value)) : Number(value),
  );
}

/** A tensor over typed values. @param dataType one whose array class is that of `values` */
export function tensorOf(
  name: string,
  dataType: DataType,
  dims: readonly number[],
  values: TypedArray,
): TensorProto {
  return create(TensorProtoSchema, {
    name,
    dataType,
    dims: dims.map(BigInt),
    rawData: new Uint8Array(values.slice().buffer),
  });
}

function bad(tensor: TensorProto, what: string): AtPatchError {
  return new AtPatchError("ATPATCH_BAD_MODEL", `tensor "${tensor.name}" ${what}`);
}
