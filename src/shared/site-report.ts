/** What the operator saw at one site, in the same run that gave the outputs. Pure. */
import { attentionFeatureCount, placeFeatures } from "./detector-tensors.ts";

export interface SiteReport {
  readonly site: number;
  /** Key positions T; 0 when the site did not run, in the branch of an If that was not taken. */
  readonly keys: number;
  /** Parts of equal length that T consists of and that attend by themselves: 1, or the windows of a sample. */
  readonly windows: number;
  /** Features of a column: 11 of attention and the H·d of values. */
  readonly width: number;
  /** [φ; v] as the graph has them, float32 [B·windows, 11 + H·d, T / windows]. */
  readonly features: Float32Array;
}

/** Columns of all samples, B·T. */
function columnCount({ features, width }: SiteReport): number {
  return width === 0 ? 0 : features.length / width;
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
  const { at, step } = placeOf(report, column);
  return Float32Array.from({ length: end - first }, (_, i) => report.features[at + (first + i) * step]!);
}

/** Whether some query looks at the key. @param column sample · T + key */
export function isVisible(report: SiteReport, column: number): boolean {
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
