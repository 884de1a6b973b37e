/** The report inside a detector bundle as lines for people. Pure. */
import { percent } from "./format.ts";

export interface ReportLine {
  readonly name: string;
  readonly value: string;
  /** Confidence interval, where the figure has one. */
  readonly range: string | null;
}

interface Rate {
  readonly value: number | null;
  readonly low: number;
  readonly high: number;
}

/** A value inside nested objects, or undefined. */
function at(document: unknown, path: string): unknown {
  return path
    .split(".")
    .reduce<unknown>((value, key) => (value as Record<string, unknown> | null | undefined)?.[key], document);
}

const figures: readonly (readonly [path: string, name: string])[] = [
  ["held_out.repaired", "Failures repaired, not seen in the fit"],
  ["held_out.robust_accuracy", "… to the right answer"],
  ["held_out.flag_rate", "Clean samples flagged"],
  ["held_out.altered", "Clean answers changed"],
  ["self_check.failing.attack_success_unpatched", "Attack success, unpatched"],
  ["self_check.failing.attack_success", "Attack success, patched"],
  ["self_check.clean.accuracy_unpatched", "Clean accuracy, unpatched"],
  ["self_check.clean.accuracy", "Clean accuracy, patched"],
];

/** Figures of a bundle's metadata that are there. */
export function reportLines(metadata: Readonly<Record<string, unknown>>): ReportLine[] {
  const lines: ReportLine[] = figures.flatMap(([path, name]) => {
    const rate = at(metadata["report"], path) as Rate | undefined;
    if (typeof rate?.value !== "number") return [];
    const range = `${(rate.low * 100).toFixed(0)}–${(rate.high * 100).toFixed(0)} %`;
    return [{ name, value: percent(rate.value), range }];
  });
  const sites = metadata["detectionSites"];
  if (Array.isArray(sites) && sites.length > 0) {
    const value = (sites as number[]).join(", ");
    lines.push({ name: sites.length === 1 ? "Detects at site" : "Detects at sites", value, range: null });
  }
  return lines;
}

/** What the report concludes, in a few words; null when it says nothing. */
export function verdictOf(metadata: Readonly<Record<string, unknown>>): string | null {
  const verdict = at(metadata["report"], "verdict");
  const words: Readonly<Record<string, string>> = {
    trigger: "A trigger, and the detector finds it",
    partly: "Carries only a part of the failures",
    conformal: "Flags what is unlike ordinary attention",
    protected: "Repairs protected columns in every sample",
  };
  return typeof verdict === "string" ? (words[verdict] ?? verdict) : null;
}

/** Figures of the golden set in the report of an upload. */
export function goldenLines(report: Readonly<Record<string, unknown>> | null): ReportLine[] {
  const golden = (report?.["golden"] ?? {}) as Readonly<Record<string, unknown>>;
  const line = (key: string, name: string): ReportLine[] =>
    typeof golden[key] === "number" ? [{ name, value: percent(golden[key]), range: null }] : [];
  return [
    ...line("flag_rate", "Golden samples flagged"),
    ...line("accuracy_unpatched", "Golden accuracy, unpatched"),
    ...line("accuracy", "Golden accuracy, patched"),
  ];
}
