/** Medians and ratios of interleaved timings. */

export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN;
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Median, quartiles of the pairwise ratios `values[i] / baseline[i]`: pairs share the moment and so the machine's mood. */
export function ratio(
  values: readonly number[],
  baseline: readonly number[],
): { median: number; low: number; high: number } {
  const ratios = values.map((value, i) => value / (baseline[i] ?? NaN));
  return { median: median(ratios), low: quantile(ratios, 0.25), high: quantile(ratios, 0.75) };
}
