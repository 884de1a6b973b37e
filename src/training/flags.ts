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

/**
 * Columns that one site flags in one sample besides those that earlier sites flagged, rising.
 * @param carried columns that count against k_max already
 */
export function flaggedAt(
  logits: Float64Array,
  columns: SampleColumns,
  { gate, column }: Thresholds,
  firstKey: number,
  carried: ReadonlySet<number> = new Set(),
): number[] {
  const reached = judgedKeys(columns, firstKey).filter((key) => (logits[key] as number) >= column);
  if (!reached.some((key) => (logits[key] as number) >= gate)) return [];
  const seen = columns.visible.reduce((count, visible) => count + visible, 0);
  const most = Math.max(1, Math.floor(seen * maxFlaggedShare));
  return reached
    .filter((key) => !carried.has(key))
    .sort((a, b) => (logits[b] as number) - (logits[a] as number) || a - b)
    .slice(0, Math.max(0, most - carried.size))
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
  const flagged = new Set<number>();
  sites.forEach((site, s) => {
    const own = siteColumns(data, site).samples[sample];
    const logits = scores[s]?.get(sample);
    const limits = thresholds[s];
    if (!own || !logits || !limits) return;
    for (const key of flaggedAt(logits, own, limits, data.layout.firstKey, flagged)) flagged.add(key);
  });
  return [...flagged].sort((a, b) => a - b);
}
