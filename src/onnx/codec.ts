/** Bytes to ModelProto and back. The only user of the protobuf runtime's wire format. */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { AtPatchError } from "../shared/errors.ts";
import { ModelProtoSchema, type ModelProto } from "./generated/onnx_pb.ts";

/**
 * Decodes a model. Byte fields are views on `bytes`, so their offset in the file is known and nothing is copied;
 * unknown fields are kept.
 * @throws AtPatchError ATPATCH_BAD_MODEL
 */
export function decodeModel(bytes: Uint8Array): ModelProto {
  try {
    return fromBinary(ModelProtoSchema, bytes);
  } catch (cause) {
    throw new AtPatchError(
      "ATPATCH_BAD_MODEL",
      "this is no ONNX model: the protobuf message cannot be read",
      { cause },
    );
  }
}

/** Encodes a model, unknown fields included. */
export function encodeModel(model: ModelProto): Uint8Array {
  return toBinary(ModelProtoSchema, model);
}
