/**
 * Models without a copy of their weights: every large inline constant becomes an external reference into the very file
 * it was read from, so that a patched model is a few KB and the runtime maps the weights from the untouched original.
 */
import { create } from "@bufbuild/protobuf";
import { decodeModel } from "./codec.ts";
import {
  StringStringEntryProtoSchema,
  TensorProto_DataLocation as DataLocation,
} from "./generated/onnx_pb.ts";
import type { ModelProto } from "./model.ts";
import { isExternal } from "./tensor-data.ts";

/** Constants below this size stay inline: the runtime wants to see shapes and axes while it loads. */
export const inlineLimit = 1024;

/**
 * Decodes a model file and moves its large constants out.
 * @param bytes the whole file
 * @param fileName its name within its folder, without any folder
 * @returns the model; constants stored elsewhere already, typed fields, and those of nested graphs stay as they are
 * @throws AtPatchError ATPATCH_BAD_MODEL
 */
export function decodeSkeleton(bytes: Uint8Array, fileName: string): ModelProto {
  const model = decodeModel(bytes);
  for (const tensor of model.graph?.initializer ?? []) {
    const data = tensor.rawData;
    if (isExternal(tensor) || data.length < inlineLimit || data.buffer !== bytes.buffer) continue;
    const entries = {
      location: fileName,
      offset: String(data.byteOffset - bytes.byteOffset),
      length: String(data.length),
    };
    tensor.externalData = Object.entries(entries).map(([key, value]) =>
      create(StringStringEntryProtoSchema, { key, value }),
    );
    tensor.dataLocation = DataLocation.EXTERNAL;
    tensor.rawData = new Uint8Array();
  }
  return model;
}
