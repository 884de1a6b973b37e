/** What a detector flags, computed from its logits here instead of in the graph: gate, column threshold, at most k_max. */
import type { SampleColumns } from "./columns.ts";
import { maxFlaggedShare } from "./detector-tensors.ts";

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
