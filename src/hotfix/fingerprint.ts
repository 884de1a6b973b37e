/** What identifies a deployed model without reading all of its weights. */
import { decodeModel, encodeModel } from "../onnx/codec.ts";
import { decodeSkeleton, inlineLimit } from "../onnx/skeleton.ts";
import { sha256 } from "../shared/digest.ts";

/** Places sampled in each large constant, and bytes taken at each. */
const samples = { places: 16, bytes: 64 } as const;

/**
 * "sha256-…" over the graph, its small constants and a sample of each large one. Two models of one architecture differ
 * in nearly every weight, so the sample tells them apart, and a large model costs no more than a small one. Constants in
 * external files enter by location and size only.
 */
export function fingerprint(bytes: Uint8Array): string {
  const parts: Uint8Array[] = [encodeModel(decodeSkeleton(bytes, "model"))];
  for (const tensor of decodeModel(bytes).graph?.initializer ?? []) {
    const data = tensor.rawData;
    if (data.length < inlineLimit) continue;
    const step = (data.length - samples.bytes) / (samples.places - 1);
    for (let place = 0; place < samples.places; place++) {
      const at = Math.floor(place * step);
      parts.push(data.subarray(at, at + samples.bytes));
    }
  }
  return `sha256-${sha256(...parts)}`;
}
