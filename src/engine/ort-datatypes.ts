/** Datatype names of the Open Inference Protocol and of onnxruntime, both ways. Loads no runtime. */
import type { Tensor as OrtTensor } from "onnxruntime-node";
import { AtPatchError } from "../shared/errors.ts";
import type { Datatype, NumericDatatype } from "../shared/tensor.ts";

export type OrtType = OrtTensor.Type;

const ortTypes: Partial<Record<Datatype, OrtType>> = {
  BOOL: "bool",
  UINT8: "uint8",
  UINT16: "uint16",
  UINT32: "uint32",
  UINT64: "uint64",
  INT8: "int8",
  INT16: "int16",
  INT32: "int32",
  INT64: "int64",
  FP16: "float16",
  FP32: "float32",
  FP64: "float64",
};

const datatypeOf = new Map(Object.entries(ortTypes).map(([datatype, type]) => [type, datatype]));

/**
 * The runtime's name of a datatype.
 * @throws AtPatchError ATPATCH_UNPROCESSABLE for datatypes that cannot be handed to the runtime (BF16, BYTES)
 */
export function toOrtType(datatype: Datatype, name: string): OrtType {
  const type = ortTypes[datatype];
  if (type === undefined) {
    throw new AtPatchError(
      "ATPATCH_UNPROCESSABLE",
      `tensor "${name}" has datatype ${datatype}, which the runtime does not take; expected one of ${Object.keys(ortTypes).join(", ")}`,
    );
  }
  return type;
}

/**
 * The datatype of a tensor that the runtime returned.
 * @throws AtPatchError ATPATCH_UNPROCESSABLE for types without a numeric datatype (string, 4-bit integers)
 */
export function fromOrtType(type: OrtType, name: string): NumericDatatype {
  const datatype = datatypeOf.get(type);
  if (datatype === undefined) {
    throw new AtPatchError(
      "ATPATCH_UNPROCESSABLE",
      `output "${name}" has type ${type}, which cannot be returned as a tensor`,
    );
  }
  return datatype as NumericDatatype;
}
