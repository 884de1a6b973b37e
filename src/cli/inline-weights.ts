/** Brings the weights of a model that lie in files beside it into the model file itself. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { decodeModel, encodeModel } from "../onnx/codec.ts";
import { constantTensors, externalTensors } from "../onnx/external-files.ts";
import { TensorProto_DataLocation as DataLocation } from "../onnx/generated/onnx_pb.ts";
import { externalReference, isExternal } from "../onnx/tensor-data.ts";
import { AtPatchError } from "../shared/errors.ts";
import type { ModelFile } from "../shared/model-file.ts";
import type { OpenedModel } from "./opened-model.ts";

/** A protobuf message, and with it a model in one file, has at most this many bytes. */
const maxModelBytes = 2 ** 31 - 1;

/**
 * The model with every weight inside; the very same file when it has none outside.
 * @throws AtPatchError ATPATCH_BAD_MODEL when it would be too large for one file
 */
export async function inlineWeights({ file, directory }: OpenedModel): Promise<ModelFile> {
  const model = decodeModel(file.bytes);
  const outside = externalTensors(model);
  if (outside.length === 0) return file;
  const total = outside.reduce((sum, { length }) => sum + (length ?? 0), file.bytes.length);
  if (total > maxModelBytes) {
    throw new AtPatchError(
      "ATPATCH_BAD_MODEL",
      `with its weights inside the model has ${total} bytes, one file holds at most ${maxModelBytes}`,
    );
  }
  const contents = new Map<string, Uint8Array>();
  for (const { location } of outside) {
    if (!contents.has(location)) contents.set(location, await readFile(join(directory, location)));
  }
  for (const tensor of constantTensors(model)) {
    if (!isExternal(tensor)) continue;
    const { location, offset, length } = externalReference(tensor);
    const bytes = contents.get(location) as Uint8Array;
    tensor.rawData = bytes.subarray(offset, length === undefined ? undefined : offset + length);
    tensor.externalData = [];
    tensor.dataLocation = DataLocation.DEFAULT;
  }
  return { bytes: encodeModel(model), name: file.name };
}
