/** Detectors that differ in their ids and hardly in what they flag. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { encodeBundle, parseBundle } from "../detector/bundle.ts";
import { float32 } from "../shared/tensor.ts";

/** The first detector that a model folder ships, its thresholds raised a little more each time. */
export async function bundleVariants(folder: string, count: number): Promise<Uint8Array[]> {
  const names = (await readdir(join(folder, "detectors"))).filter((name) => name.endsWith(".safetensors"));
  const { metadata, tensors } = parseBundle(await readFile(join(folder, "detectors", names.toSorted()[0]!)));
  return Array.from({ length: count }, (_, index) => {
    const more = 0.001 * (index + 1);
    const thresholds = (tensors.thresholds.data as Float32Array).map((value) => value + more);
    const raised = metadata.thresholds.map((own) => ({
      ...own,
      gate: own.gate + more,
      column: own.column + more,
    }));
    return encodeBundle(
      { ...metadata, thresholds: raised },
      { ...tensors, thresholds: float32(tensors.thresholds.shape, thresholds) },
    );
  });
}
