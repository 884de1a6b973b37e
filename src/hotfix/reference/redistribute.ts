/** The repair of `hotfix/redistribute.ts` in plain TypeScript (double precision). */
import { fallbackWeight } from "../constants.ts";
import type { SampleMap } from "./features.ts";

/** Benign attention of one site: `at(h, i, j)` is c, or ρ when `ratio`. */
export interface BenignAttention {
  readonly ratio: boolean;
  readonly maxBenignMass: number;
  at(head: number, query: number, key: number): number;
}

/** A' of one sample, [H,Tq,Tk] row-major; the map itself when no column is flagged. */
export function referenceRedistribution(
  map: SampleMap,
  flagged: readonly boolean[],
  benign: BenignAttention,
): Float64Array {
  const { heads, queries, keys } = map;
  const result = Float64Array.from(map.data);
  if (!flagged.includes(true)) return result;
  const at = (h: number, i: number, j: number): number => map.data[(h * queries + i) * keys + j] ?? 0;
  const range = Array.from({ length: keys }, (_, j) => j);
  const sees = (i: number, j: number): boolean =>
    Array.from({ length: heads }, (_, h) => at(h, i, j)).some((a) => a > 0);

  for (let i = 0; i < queries; i++) {
    const visible = range.filter((j) => sees(i, j));
    const keep = visible.filter((j) => !flagged[j]);
    if (keep.length === 0) continue;
    const unit = benign.ratio ? 1 / Math.max(visible.length, 1) : 1;
    for (let h = 0; h < heads; h++) {
      const rowMass = range.reduce((total, j) => total + at(h, i, j), 0);
      const replaced = visible.filter((j) => flagged[j]);
      const wanted = replaced.reduce((total, j) => total + benign.at(h, i, j) * unit, 0);
      const shrink = benign.maxBenignMass / Math.max(wanted, benign.maxBenignMass);
      const remaining = new Map(keep.map((j) => [j, at(h, i, j) + fallbackWeight / keep.length]));
      const remainingMass = [...remaining.values()].reduce((total, value) => total + value, 0);
      for (const j of range) {
        const benignMass = visible.includes(j) && flagged[j] ? benign.at(h, i, j) * unit * shrink : 0;
        const rescaled = ((1 - wanted * shrink) * (remaining.get(j) ?? 0)) / remainingMass;
        result[(h * queries + i) * keys + j] = rowMass * (benignMass + rescaled);
      }
    }
  }
  return result;
}
