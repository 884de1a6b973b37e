/** What a detector flags, computed from its logits here instead of in the graph: gate, column threshold, at most k_max. */
import type { SampleColumns } from "./columns.ts";
import { maxFlaggedShare } from "./detector-tensors.ts";
import { siteColumns, type SampleScores, type TrainingData } from "./training-data.ts";

/** τ_hi and τ_lo of one site. */
export interface Thresholds {
  readonly gate: number;
  readonly column: number;
}

/** Key positions that a detector may flag: visible, from `firstKey` on. */
export function judgedKeys({ keys, visible }: SampleColumns, firstKey: number): number[] {
  return Array.from({ length: keys }, (_, key) => key).filter((key) => key >= firstKey && visible[key] === 1);
}

/** Columns that one site flags in one sample, rising. */
export function flaggedAt(
  logits: Float64Array,
  columns: SampleColumns,
  { gate, column }: Thresholds,
  firstKey: number,
): number[] {
  const reached = judgedKeys(columns, firstKey).filter((key) => (logits[key] as number) >= column);
  if (!reached.some((key) => (logits[key] as number) >= gate)) return [];
  const seen = columns.visible.reduce((count, visible) => count + visible, 0);
  const most = Math.max(1, Math.floor(seen * maxFlaggedShare));
  return reached
    .sort((a, b) => (logits[b] as number) - (logits[a] as number) || a - b)
    .slice(0, most)
    .sort((a, b) => a - b);
}

/** Columns that a detector flags in a sample, over all its sites, rising. */
export function flaggedOver(
  data: TrainingData,
  sites: readonly number[],
  thresholds: readonly Thresholds[],
  scores: readonly SampleScores[],
  sample: number,
): number[] {
  const flagged = sites.flatMap((site, s) => {
    const own = siteColumns(data, site).samples[sample];
    const logits = scores[s]?.get(sample);
    const limits = thresholds[s];
    return own && logits && limits ? flaggedAt(logits, own, limits, data.layout.firstKey) : [];
  });
  return [...new Set(flagged)].sort((a, b) => a - b);
}
