/** Which of several tried settings is best: by repair first, then by what it costs. */
import type { HeldOut } from "./cross-validate.ts";

/** What is compared in turn. */
interface Criterion {
  /** More is better. */
  readonly of: (heldOut: HeldOut) => number;
  /** Differences up to this say nothing. */
  readonly tolerance: number;
  /** Samples that were counted, of which a single one never decides; 0 for means. */
  readonly counted: (heldOut: HeldOut) => number;
}

const criteria: readonly Criterion[] = [
  {
    of: ({ repaired, failing }) => repaired / Math.max(1, failing),
    tolerance: 0.01,
    counted: ({ failing }) => failing,
  },
  { of: ({ residue }) => -residue, tolerance: 0.01, counted: () => 0 },
  {
    of: ({ correct, failing }) => correct / Math.max(1, failing),
    tolerance: 0.04,
    counted: ({ failing }) => failing,
  },
  {
    of: ({ altered, clean }) => -altered / Math.max(1, clean),
    tolerance: 0.0025,
    counted: ({ clean }) => clean,
  },
];

/**
 * Most repaired failing samples; among equals (within the tolerance) those whose wrong answers keep the least probability, then
 * the most right answers, then the fewest altered clean predictions, then the first.
 */
export function best<T extends { readonly heldOut: HeldOut }>(entries: readonly T[]): T {
  let kept = entries;
  for (const { of, tolerance, counted } of criteria) {
    const most = Math.max(...kept.map(({ heldOut }) => of(heldOut)));
    kept = kept.filter(({ heldOut }) => {
      const samples = counted(heldOut);
      return of(heldOut) >= most - Math.max(tolerance, samples > 0 ? 1 / samples : 0) - 1e-9;
    });
  }
  return kept[0] as T;
}
