/** What identifies a deployed model without reading all of its weights. */
import { decodeModel, encodeModel } from "../onnx/codec.ts";
import { decodeSkeleton, inlineLimit } from "../onnx/skeleton.ts";
import { isExternal } from "../onnx/tensor-data.ts";
import { sha256 } from "../shared/digest.ts";
import { sampleBytes, type ModelFile } from "../shared/model-file.ts";

/** The file goes by this name, so that renaming it changes nothing. */
const anyName = "model";

/**
 * "sha256-…" over the graph, its small constants and a sample of each large one. Two models of one architecture differ
 * in nearly every weight, so the sample tells them apart, and a large model costs no more than a small one. Constants in
 * other files enter by location and size only.
 */
export function fingerprint(file: ModelFile): string {
  const model = decodeSkeleton(file.bytes, anyName);
  for (const tensor of model.graph?.initializer ?? []) {
    if (!isExternal(tensor)) continue;
    for (const entry of tensor.externalData) {
      if (entry.key === "location" && entry.value === file.name) entry.value = anyName;
    }
  }
  return `sha256-${sha256(encodeModel(model), ...(file.weightSample ?? sampleWeights(file.bytes)))}`;
}

function sampleWeights(bytes: Uint8Array): Uint8Array[] {
  return (decodeModel(bytes).graph?.initializer ?? [])
    .map(({ rawData }) => rawData)
    .filter((data) => data.length >= inlineLimit)
    .flatMap((data) => sampleBytes(data.length, (offset, length) => data.subarray(offset, offset + length)));
}
