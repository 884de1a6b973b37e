/** Latency out of the metrics of the server, in the Prometheus text format. Pure. */

/** A histogram: upper bounds in rising order, the last one infinite, with the number of observations up to each. */
export interface Histogram {
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
}

const line = /^(\w+)\{([^}]*)\} (\S+)/;

/** The buckets of one histogram with the given labels; null when it was not observed yet. */
export function histogramOf(
  text: string,
  name: string,
  labels: Readonly<Record<string, string>>,
): Histogram | null {
  const buckets: [number, number][] = [];
  for (const row of text.split("\n")) {
    if (!row.startsWith(`${name}_bucket{`)) continue;
    const [, , given = "", value = ""] = line.exec(row) ?? [];
    const own = labelsOf(given);
    if (!Object.entries(labels).every(([key, wanted]) => own[key] === wanted)) continue;
    buckets.push([own["le"] === "+Inf" ? Infinity : Number(own["le"]), Number(value)]);
  }
  if (buckets.length === 0) return null;
  buckets.sort(([a], [b]) => a - b);
  return { bounds: buckets.map(([bound]) => bound), counts: buckets.map(([, found]) => found) };
}

function labelsOf(text: string): Record<string, string> {
  const found = [...text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)];
  return Object.fromEntries(found.map(([, key, value]) => [key!, value!.replace(/\\(.)/g, "$1")]));
}

/**
 * Quantile of what was observed between two readings, interpolated within its bucket; null when nothing was. Beyond the
 * largest finite bound nothing is known but that bound.
 */
export function quantileBetween(before: Histogram | null, after: Histogram, share: number): number | null {
  const grown = after.counts.map((found, i) => found - (before?.counts[i] ?? 0));
  const total = grown.at(-1) ?? 0;
  if (total <= 0) return null;
  const rank = share * total;
  const at = grown.findIndex((found) => found >= rank);
  const lower = at === 0 ? 0 : after.bounds[at - 1]!;
  const upper = after.bounds[at]!;
  if (upper === Infinity) return lower;
  const below = at === 0 ? 0 : grown[at - 1]!;
  return lower + ((upper - lower) * (rank - below)) / Math.max(1e-9, grown[at]! - below);
}
