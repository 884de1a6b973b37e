/** The features that a run returned, as site reports. Pure. */
import { attentionFeatureCount } from "../shared/detector-tensors.ts";
import type { SiteReport } from "../shared/site-report.ts";
import type { Tensor } from "../shared/tensor.ts";

/** @param reported float32 [B', F, T'], B' = B times the windows of a sample; empty when the site did not run */
export function siteReport(site: number, { shape, data }: Tensor, batch: number): SiteReport {
  const [rows = 0, width = 0, length = 0] = shape;
  const windows = Math.max(1, rows / batch);
  return { site, keys: windows * length, windows, width, features: data as Float32Array };
}

/**
 * The same of a site that detected in the pointwise form: its φ tells the visible keys alone.
 * @param visible float32 [B', 1, T'], above 0 for visible keys
 * @param values float32 [B'·T', H·d]
 */
export function pointwiseReport(site: number, visible: Tensor, values: Tensor, batch: number): SiteReport {
  const [rows = 0, , length = 0] = visible.shape;
  if (rows === 0) return siteReport(site, visible, batch);
  const depth = values.shape[1] ?? 0;
  const width = attentionFeatureCount + depth;
  const features = new Float32Array(rows * width * length);
  const [from, seen] = [values.data as Float32Array, visible.data as Float32Array];
  for (let row = 0; row < rows; row++) {
    const start = (row + 1) * width * length - depth * length;
    for (let key = 0; key < length; key++) {
      features[start - length + key] = Number(seen[row * length + key]! > 0);
      const at = (row * length + key) * depth;
      for (let i = 0; i < depth; i++) features[start + i * length + key] = from[at + i]!;
    }
  }
  return siteReport(site, { datatype: "FP32", shape: [rows, width, length], data: features }, batch);
}
