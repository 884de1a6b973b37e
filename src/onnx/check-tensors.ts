/** Whether the constants of a model hold as much data as their dimensions say. */
import { AtPatchError } from "../shared/errors.ts";
import { bitsOf, byteLength, isKnownType } from "./data-types.ts";
import { DataType, type ModelProto, type TensorProto } from "./model.ts";
import { constantTensors } from "./external-files.ts";
import { isExternal } from "./tensor-data.ts";

/** @throws AtPatchError ATPATCH_BAD_MODEL naming the tensor */
export function checkTensors(model: ModelProto): void {
  for (const tensor of constantTensors(model)) checkTensor(tensor);
}

function checkTensor(tensor: TensorProto): void {
  const { dims, dataType } = tensor;
  const negative = dims.find((dim) => dim < 0n);
  if (negative !== undefined) throw bad(tensor, `has the negative dimension ${negative}`);
  if (!isKnownType(dataType)) throw bad(tensor, `has the unknown element type ${dataType}`);
  if (isExternal(tensor)) return;

  const count = dims.reduce((product, dim) => product * dim, 1n);
  const shape = `[${dims.join(", ")}]`;
  if (tensor.rawData.length > 0) {
    const expected = byteLength(dataType, dims);
    if (tensor.rawData.length !== expected) {
      throw bad(tensor, `holds ${tensor.rawData.length} bytes, which does not fit its dimensions ${shape}`);
    }
    return;
  }
  const held = BigInt(typedCount(tensor));
  // Types below a byte are packed into int32_data, several an element.
  const packed = (bitsOf(dataType) ?? 8) < 8;
  if (packed ? held > count : held !== count) {
    throw bad(tensor, `holds ${held} values, which does not fit its dimensions ${shape}`);
  }
}

function typedCount(tensor: TensorProto): number {
  switch (tensor.dataType) {
    case DataType.FLOAT:
      return tensor.floatData.length;
    case DataType.COMPLEX64:
      return tensor.floatData.length / 2;
    case DataType.DOUBLE:
      return tensor.doubleData.length;
    case DataType.COMPLEX128:
      return tensor.doubleData.length / 2;
    case DataType.INT64:
      return tensor.int64Data.length;
    case DataType.UINT32:
    case DataType.UINT64:
      return tensor.uint64Data.length;
    case DataType.STRING:
      return tensor.stringData.length;
    default:
      return tensor.int32Data.length;
  }
}

function bad(tensor: TensorProto, what: string): AtPatchError {
  return new AtPatchError("ATPATCH_BAD_MODEL", `tensor "${tensor.name}" ${what}`);
}
