/**
 * Delta debugging (A. Zeller and R. Hildebrandt, "Simplifying and isolating failure-inducing input", TSE 2002): a
 * 1-minimal subset of `items` that still has a property. Written as a generator that yields all candidates of a round,
 * so that the caller can try them in one batch, for many samples at once.
 *
 * The property must hold for `items`; nothing is assumed of the empty set, and it is never tried.
 * Yields: candidate sets. Receives: for each, whether it has the property.
 */
export function* ddmin<T>(items: readonly T[]): Generator<T[][], T[], readonly boolean[]> {
  let current = [...items];
  let parts = 2;
  while (current.length > 1) {
    const chunks = cut(current, parts);
    // With two chunks each one's complement is the other.
    const complements =
      parts === 2
        ? []
        : chunks.map((_, skipped) => chunks.flatMap((chunk, i) => (i === skipped ? [] : chunk)));
    const candidates = [...chunks, ...complements];
    const holds = yield candidates;
    const found = holds.indexOf(true);
    if (found >= 0) {
      current = candidates[found] as T[];
      parts = found < chunks.length ? 2 : Math.max(parts - 1, 2);
    } else if (parts < current.length) {
      parts = Math.min(parts * 2, current.length);
    } else {
      break;
    }
  }
  return current;
}

/** Cuts into `parts` runs whose lengths differ by at most one. */
function cut<T>(items: readonly T[], parts: number): T[][] {
  return Array.from({ length: parts }, (_, i) =>
    items.slice(Math.floor((i * items.length) / parts), Math.floor(((i + 1) * items.length) / parts)),
  );
}
