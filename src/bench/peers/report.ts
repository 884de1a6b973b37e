/** The comparison as a section of Markdown. */
import { median, quantile, ratio } from "../statistics.ts";
import type { Figures } from "./figures.ts";

export interface Report {
  readonly title: string;
  /** Lines of a list: machine, versions, conditions. */
  readonly facts: readonly string[];
  readonly figures: readonly Figures[];
  /** Rows that the ratios refer to. */
  readonly baselines: readonly string[];
  /** Servers without figures, with the reason. */
  readonly missing: readonly string[];
}

export function markdown({ title, facts, figures, baselines, missing }: Report): string {
  const found = baselines.flatMap((name) => figures.find((row) => row.name === name) ?? []);
  const head = [
    "server",
    "requests/s",
    "p50 ms",
    "p99 ms",
    "CPU ms",
    ...found.map(({ name }) => `to ${name}`),
    "errors",
  ];
  const rows = figures.map((row) => [
    row.name,
    spread({
      median: median(row.perSecond),
      low: quantile(row.perSecond, 0.25),
      high: quantile(row.perSecond, 0.75),
    }),
    short(median(row.latencies)),
    short(quantile(row.latencies, 0.99)),
    row.timeMs.some(Number.isNaN) ? "" : short(median(row.timeMs)),
    ...found.map((baseline) => spread(ratio(row.perSecond, baseline.perSecond))),
    [...row.errors].map(([outcome, count]) => `${count} × ${outcome}`).join(", ") || "0",
  ]);
  const list = (lines: readonly string[]): string => lines.map((line) => `- ${line}\n`).join("");
  return [
    `## ${title}\n`,
    list(facts),
    table(head, rows),
    'Medians over the rounds with their quartiles; a ratio is that of the same round. Latencies are those of all rounds. "CPU ms" is the processor time of the server, all its processes, for each request.\n',
    ...(missing.length > 0 ? [`Not measured:\n\n${list(missing)}`] : []),
  ].join("\n");
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]!.length)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |\n`;
  return line(head) + line(widths.map((width) => "-".repeat(width))) + rows.map(line).join("");
}

const spread = (found: { median: number; low: number; high: number }): string =>
  `${short(found.median)} (${short(found.low)}–${short(found.high)})`;

/** Three digits that matter, whole numbers whole. */
function short(value: number): string {
  return value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}
