/** What the operator saw at one site, in the same run that gave the outputs. Pure. */
import { attentionFeatureCount, placeFeatures } from "./detector-tensors.ts";

/** The place feature of keys that are neither the first nor the last visible one: it tells all of them where φ is unknown. */
const lastPlace = placeFeatures[2];

export interface SiteReport {
  readonly site: number;
  /** Key positions T; 0 when the site did not run, in the branch of an If that was not taken. */
  readonly keys: number;
  /** Parts of equal length that T consists of and that attend by themselves: 1, or the windows of a sample. */
  readonly windows: number;
  /** Features of a column: 11 of attention and the H·d of values. */
  readonly width: number;
  /** [φ; v] as the graph has them, float32 [B·windows, 11 + H·d, T / windows]; with `largest` v alone, [B·T, H·d]. */
  readonly features: Float32Array;
  /**
   * Present where the site detected in the pointwise form: the largest attention that is paid to each key, float32 [B·T]. Of
   * φ nothing is known then but the visible keys.
   */
  readonly largest?: Float32Array;
}

/** The numbers of a report, a share of them for each sample. @param change made to each array */
export function mapReport(
  { largest, ...report }: SiteReport,
  change: (array: Float32Array, name: "features" | "largest") => Float32Array,
): SiteReport {
  return {
    ...report,
    features: change(report.features, "features"),
    ...(largest && { largest: change(largest, "largest") }),
  };
}

/** The arrays that hold the numbers of a report. */
export function reportArrays({ features, largest }: SiteReport): Float32Array[] {
  return largest === undefined ? [features] : [features, largest];
}

/** Columns of all samples, B·T. */
function columnCount({ features, width, largest }: SiteReport): number {
  return largest?.length ?? (width === 0 ? 0 : features.length / width);
}

/** Where the first feature of a column is, and how far the next one is from it. @param column sample · T + key */
function placeOf({ keys, windows, width }: SiteReport, column: number): { at: number; step: number } {
  const step = keys / windows;
  const row = Math.floor(column / step);
  return { at: row * width * step + (column % step), step };
}

/** Features from `first` on to before `end` of one column. @param column sample · T + key */
export function columnFeatures(
  report: SiteReport,
  column: number,
  first = 0,
  end = report.width,
): Float32Array {
  const { features, largest } = report;
  if (largest !== undefined) {
    const values = column * valueWidth(report) - attentionFeatureCount;
    const feature = (i: number): number => (i < attentionFeatureCount ? 0 : features[values + i]!);
    return Float32Array.from({ length: end - first }, (_, i) =>
      first + i === lastPlace ? Number(isVisible(report, column)) : feature(first + i),
    );
  }
  const { at, step } = placeOf(report, column);
  return Float32Array.from({ length: end - first }, (_, i) => features[at + (first + i) * step]!);
}

/** All features of all columns as [φ; v], float32 [B·windows, 11 + H·d, T / windows]. */
export function allFeatures(report: SiteReport): Float32Array {
  const { features, largest, width } = report;
  if (largest === undefined) return features;
  const depth = valueWidth(report);
  const all = new Float32Array(largest.length * width);
  for (let column = 0; column < largest.length; column++) {
    const { at, step } = placeOf(report, column);
    all[at + lastPlace * step] = Number(largest[column]! > 0);
    const [to, from] = [at + attentionFeatureCount * step, column * depth];
    for (let i = 0; i < depth; i++) all[to + i * step] = features[from + i]!;
  }
  return all;
}

/** Whether some query looks at the key. @param column sample · T + key */
export function isVisible(report: SiteReport, column: number): boolean {
  if (report.largest !== undefined) return report.largest[column]! > 0;
  const { at, step } = placeOf(report, column);
  return placeFeatures.some((place) => report.features[at + place * step]! > 0);
}

/** 1 for every visible key of one sample, else 0: [T]. */
export function visibleKeys(report: SiteReport, sample: number): Uint8Array {
  const first = sample * report.keys;
  return Uint8Array.from({ length: report.keys }, (_, key) => Number(isVisible(report, first + key)));
}

/** 1 for every visible key, else 0: [B·T]. */
export function visibleColumns(report: SiteReport): Uint8Array {
  return Uint8Array.from({ length: columnCount(report) }, (_, column) => Number(isVisible(report, column)));
}

/** Number of value features H·d of a site that ran. */
export function valueWidth({ width }: SiteReport): number {
  return width - attentionFeatureCount;
}
