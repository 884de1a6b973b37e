/** What the graph reports of a site, taken apart. Pure. */
import { attentionFeatureCount, placeFeatures } from "../shared/detector-tensors.ts";
import type { Tensor } from "../shared/tensor.ts";
import type { SiteReport } from "./engine.ts";

/**
 * @param reported float32 [B', 11 + H·d, T], B' = B times the windows of a sample; empty when the site did not run
 * @param batch number of samples B
 */
export function siteReport(site: number, { shape, data }: Tensor, batch: number): SiteReport {
  const [rows = 0, width = 0, length = 0] = shape;
  const columns = rows * length;
  const reported = data as Float32Array;
  /** Features from `first` on to before `end`, column by column. */
  const take = (first: number, end: number): Float32Array => {
    const taken = new Float32Array(columns * (end - first));
    for (let column = 0, at = 0; column < columns; column++) {
      const from = Math.floor(column / length) * width * length + (column % length);
      for (let feature = first; feature < end; feature++) taken[at++] = reported[from + feature * length]!;
    }
    return taken;
  };
  const features = take(0, Math.min(width, attentionFeatureCount));
  const visible = new Float32Array(columns);
  for (let column = 0; column < columns; column++) {
    const own = features.subarray(column * attentionFeatureCount);
    visible[column] = placeFeatures.some((place) => own[place]! > 0) ? 1 : 0;
  }
  const values = take(Math.min(width, attentionFeatureCount), width);
  return { site, keys: columns / batch, windows: Math.max(1, rows / batch), features, values, visible };
}
