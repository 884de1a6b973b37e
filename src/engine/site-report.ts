/** What the graph reports of a site, taken apart: one row [φ; v] for every key column. Pure. */
import { attentionFeatureCount, placeFeatures } from "../shared/detector-tensors.ts";
import type { Tensor } from "../shared/tensor.ts";
import type { SiteReport } from "./engine.ts";

/**
 * @param reported float32 [B', T, 11 + H·d], B' = B times the windows of a sample; empty when the site did not run
 * @param batch number of samples B
 */
export function siteReport(site: number, { shape, data }: Tensor, batch: number): SiteReport {
  const [rows = 0, length = 0, width = 0] = shape;
  const columns = rows * length;
  const valueWidth = Math.max(0, width - attentionFeatureCount);
  const features = new Float32Array(columns * attentionFeatureCount);
  const values = new Float32Array(columns * valueWidth);
  const visible = new Float32Array(columns);
  for (let column = 0; column < columns; column++) {
    const row = (data as Float32Array).subarray(column * width, (column + 1) * width);
    features.set(row.subarray(0, attentionFeatureCount), column * attentionFeatureCount);
    values.set(row.subarray(attentionFeatureCount), column * valueWidth);
    visible[column] = placeFeatures.some((place) => row[place]! > 0) ? 1 : 0;
  }
  const windows = Math.max(1, rows / batch);
  return { site, keys: columns / batch, windows, features, values, visible };
}
