/** Contiguous windows of key columns: the candidates of localisation, by growing size. */
import type { KeyLayout } from "../tasks/task.ts";

/** Longest window of a sequence, and side of the largest window of a grid. */
const longestRun = 8;
const widestSquare = 3;

/**
 * Rounds of candidate column sets, the smallest first. Grid: sliding squares 1×1 to 3×3; sequence: runs of 1 to 8
 * neighbours; features: single columns.
 * @param columns the columns that may be forced, in rising order (without [CLS], separators and padding)
 */
export function windowRounds(layout: KeyLayout, columns: readonly number[]): number[][][] {
  if (layout.kind === "features") return [columns.map((column) => [column])];
  if (layout.kind === "grid") {
    const allowed = new Set(columns);
    const sides = Array.from(
      { length: Math.min(widestSquare, layout.rows, layout.columns) },
      (_, i) => i + 1,
    );
    return sides.map((side) =>
      squares(layout, side).filter((square) => square.every((key) => allowed.has(key))),
    );
  }
  const lengths = Array.from({ length: Math.min(longestRun, columns.length) }, (_, i) => i + 1);
  return lengths.map((length) =>
    Array.from({ length: columns.length - length + 1 }, (_, start) => columns.slice(start, start + length)),
  );
}

function squares(layout: Extract<KeyLayout, { kind: "grid" }>, side: number): number[][] {
  const result: number[][] = [];
  for (let row = 0; row + side <= layout.rows; row++) {
    for (let column = 0; column + side <= layout.columns; column++) {
      result.push(
        Array.from(
          { length: side * side },
          (_, i) => layout.firstKey + (row + Math.floor(i / side)) * layout.columns + column + (i % side),
        ),
      );
    }
  }
  return result;
}
