/** What identifies a deployed model without reading all of its weights. */
import { encodeModel } from "../onnx/codec.ts";
import type { ModelProto, TensorProto } from "../onnx/model.ts";
import { decodeSkeleton } from "../onnx/skeleton.ts";
import { externalReference, isExternal } from "../onnx/tensor-data.ts";
import { sha256 } from "../shared/digest.ts";
import { sampleBytes, type ModelFile } from "../shared/model-file.ts";

/** The file goes by this name, so that renaming it changes nothing. */
const anyName = "model";

/**
 * "sha256-…" over the graph, its small constants and a sample of each large one. Two models of one architecture differ
 * in nearly every weight, so the sample tells them apart, and a large model costs no more than a small one. Constants in
 * other files enter by location and size only.
 * @param skeleton the file as `decodeSkeleton` reads it, unchanged
 */
export function fingerprint(file: ModelFile, skeleton = decodeSkeleton(file.bytes, file.name)): string {
  const own = tensorsIn(skeleton, file.name);
  const rename = (from: string, to: string): void => {
    for (const { externalData } of own) {
      for (const entry of externalData)
        if (entry.key === "location" && entry.value === from) entry.value = to;
    }
  };
  rename(file.name, anyName);
  const graph = encodeModel(skeleton);
  rename(anyName, file.name);
  return `sha256-${sha256(graph, ...(file.weightSample ?? own.flatMap((tensor) => sampleTensor(file.bytes, tensor))))}`;
}

/** Constants that are stored in the file of that name. */
function tensorsIn(model: ModelProto, name: string): TensorProto[] {
  return (model.graph?.initializer ?? []).filter(
    (tensor) => isExternal(tensor) && externalReference(tensor).location === name,
  );
}

function sampleTensor(bytes: Uint8Array, tensor: TensorProto): Uint8Array[] {
  const { offset, length = 0 } = externalReference(tensor);
  return sampleBytes(length, (from, count) => bytes.subarray(offset + from, offset + from + count));
}
