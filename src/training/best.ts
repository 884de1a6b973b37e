/** Which of several tried settings is best: by repair first, then by what it costs. */
import type { HeldOut } from "./cross-validate.ts";

/** Shares of samples below which a difference says nothing. */
const tolerance = { repaired: 0.01, correct: 0.04, altered: 0.0025 } as const;

/**
 * Most repaired failing samples; among equals (within the tolerance) those with the most right answers, then the fewest
 * altered clean predictions, then the first.
 */
export function best<T extends { readonly heldOut: HeldOut }>(entries: readonly T[]): T {
  let kept = entries;
  for (const [count, sign] of criteria) {
    const share = ({ heldOut }: T): number => sign * shareOf(heldOut, count);
    const most = Math.max(...kept.map(share));
    // A single sample never decides on right answers and altered predictions, however few there are.
    const single = ({ heldOut }: T): number => (count === "repaired" ? 0 : 1 / sizeOf(heldOut, count));
    kept = kept.filter((entry) => share(entry) >= most - Math.max(tolerance[count], single(entry)) - 1e-9);
  }
  return kept[0] as T;
}

type Count = "repaired" | "correct" | "flagged" | "altered";

/** What is compared in turn: more is better, or less. */
const criteria: readonly (readonly ["repaired" | "correct" | "altered", 1 | -1])[] = [
  ["repaired", 1],
  ["correct", 1],
  ["altered", -1],
];

/** A held-out count as a share of its set; 0 for an empty set. */
export function shareOf(heldOut: HeldOut, count: Count): number {
  return heldOut[count] / sizeOf(heldOut, count);
}

function sizeOf({ failing, clean }: HeldOut, count: Count): number {
  return Math.max(1, count === "repaired" || count === "correct" ? failing : clean);
}
