/** Attention on the columns of a sample, made ready to be drawn. Pure. */
import type { SampleAttention } from "./api-types.ts";

/** Which map is shown: before or after the patch. */
export type Side = "before" | "after";

/** Attention per column at one site, or the mean over all of them. */
export function massesOf({ sites }: SampleAttention, side: Side, site: number | null): number[] {
  const chosen = sites.filter((each) => site === null || each.site === site);
  const keys = chosen[0]?.[side].length ?? 0;
  return Array.from(
    { length: keys },
    (_, key) => chosen.reduce((sum, each) => sum + each[side][key]!, 0) / chosen.length,
  );
}

/** The largest mass on a column that stands for something, so that maps beside each other can be compared. */
export function fullStrength(
  maps: readonly (readonly [SampleAttention, Side])[],
  site: number | null,
): number {
  const seen = maps.flatMap(([attention, side]) =>
    massesOf(attention, side, site).filter((_, key) => attention.places[key] !== null),
  );
  return Math.max(1e-6, ...seen);
}

/** Strength from 0 to 1; the square root, so that small masses are told apart as well. */
export function strength(mass: number, full: number): number {
  return Math.sqrt(Math.min(1, Math.max(0, mass / full)));
}
