/** Thresholds from clean samples that were not used for fitting. */

/** Logits of one site, per sample: only columns that may be flagged. */
export type CandidateScores = readonly (readonly number[])[];

/**
 * Number of clean samples that may lie above the gate: k = ⌊α(n + 1)⌋. With the gate at the k-th highest of n scores, a
 * new exchangeable sample is flagged with probability k / (n + 1) ≤ α (split conformal prediction: Vovk, Gammerman and
 * Shafer, "Algorithmic learning in a random world", 2005).
 */
export function gateRank(n: number, alpha: number): number {
  // α(n + 1) may fall a rounding error short of a whole number.
  return Math.floor(alpha * (n + 1) + 1e-9);
}

/** Fewest clean samples for which {@link gateRank} is not 0. */
export function neededForGate(alpha: number): number {
  return Math.ceil(1 / alpha - 1 - 1e-9);
}

/**
 * One gate per site, each just above the r-th highest score of its site. With one site r is the rank of the conformal
 * rule; more sites share it: r is the largest number for which the r highest samples of all sites are no more than `rank`
 * samples together (but at least 1).
 * @param sites per site the scores of the same n samples
 * @param rank from 1 to n
 */
export function gateThresholds(sites: readonly CandidateScores[], rank: number): number[] {
  const maxima = sites.map((scores) =>
    scores.map((columns) => columns.reduce((a, b) => Math.max(a, b), lowest)),
  );
  const sorted = maxima.map((values) => values.toSorted((a, b) => b - a));
  const samples = maxima[0]?.map((_, i) => i) ?? [];
  const highest = (r: number): number =>
    samples.filter((i) => maxima.some((values, s) => (values[i] as number) >= (sorted[s]?.[r - 1] as number)))
      .length;
  let r = rank;
  while (r > 1 && highest(r) > rank) r -= 1;
  return sorted.map((values) => justAbove(values[r - 1] as number, values[r - 2] ?? Infinity));
}

/** Score of a sample without a column that may be flagged. */
const lowest = -1e30;

/** A threshold over `score` but not over `next`, with room for the rounding of the runtime. */
function justAbove(score: number, next: number): number {
  const room = 1e-3 * (1 + Math.abs(score));
  if (next <= score) return score + room;
  const above = score + Math.min(room, (next - score) / 2);
  // Between neighbouring numbers half the way rounds back to the score; the next one then is the threshold.
  return above > score ? above : next;
}

/** The `share`-quantile of all clean column scores of a site: what a column of a gated sample must reach. */
export function columnThreshold(scores: CandidateScores, share: number): number {
  const all = Float64Array.from(scores.flat()).sort();
  return all[Math.min(all.length - 1, Math.floor(share * all.length))] ?? Infinity;
}
