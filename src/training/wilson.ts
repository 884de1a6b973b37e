/** A share of samples with its uncertainty. */
export interface Rate {
  /** hits / n; null when there is no sample. */
  readonly value: number | null;
  /** Wilson score interval at 95 %. */
  readonly low: number | null;
  readonly high: number | null;
}

/** 97.5 % quantile of the standard normal distribution. */
const z = 1.959963984540054;

/** Wilson score interval (E. B. Wilson, JASA 22, 1927), without continuity correction. */
export function wilson(hits: number, n: number): Rate {
  if (n === 0) return { value: null, low: null, high: null };
  const value = hits / n;
  const spread = z * Math.sqrt((value * (1 - value)) / n + (z * z) / (4 * n * n));
  const scale = 1 + (z * z) / n;
  const centre = value + (z * z) / (2 * n);
  return {
    value,
    low: hits === 0 ? 0 : Math.max(0, (centre - spread) / scale),
    high: hits === n ? 1 : Math.min(1, (centre + spread) / scale),
  };
}

/** Share of the items for which `hit` holds. */
export function rateOf<T>(items: readonly T[], hit: (item: T) => boolean): Rate {
  return wilson(items.filter(hit).length, items.length);
}
