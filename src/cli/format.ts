/** Figures and tables for people. */
import type { Rate } from "../training/wilson.ts";

/** "97.2 % [94.1, 98.9]", or "–" when there is no sample. */
export function rateText({ value, low, high }: Rate): string {
  if (value === null || low === null || high === null) return "–";
  return `${percent(value)} % [${percent(low)}, ${percent(high)}]`;
}

/** A share as a percentage with one digit, without the sign. */
export function percent(share: number): string {
  return (100 * share).toFixed(1);
}

/** Lines of a table with columns as wide as needed; the last one is not padded. */
export function table(rows: readonly (readonly string[])[], indent = "  "): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => [...(row[column] ?? "")].length)),
  );
  return rows
    .map((row) =>
      (
        indent +
        row
          .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
          .join("  ")
      ).trimEnd(),
    )
    .join("\n");
}

/** A small number in a readable form. */
export function small(value: number): string {
  return value === 0 ? "0" : value.toExponential(1);
}
