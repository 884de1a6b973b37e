/** The figures of `evaluate` as a person reads them. */
import type { Bundle } from "../detector/bundle.ts";
import type { Baseline } from "../training/baselines.ts";
import type { Figure } from "../training/fairness.ts";
import type { FullEvaluation } from "../training/full-evaluation.ts";
import type { Latency } from "../training/latency.ts";
import type { McNemar } from "../training/mcnemar.ts";
import type { AttributeFairness, TableFairness } from "../training/table-fairness.ts";
import { rateText, table } from "./format.ts";

export function evaluationText(evaluation: FullEvaluation, bundle: Pick<Bundle, "id"> | null): string {
  const { clean, failing, target, latency, fairness, baselines = [] } = evaluation;
  const attacked =
    failing.n === 0
      ? []
      : [
          [
            `attack success (${failing.n})`,
            rateText(failing.attack_success_unpatched),
            rateText(failing.attack_success),
          ],
          ["  floor: clean samples answered so", rateText(clean.target_rate), ""],
          ["  right answer", rateText(failing.robust_accuracy_unpatched), rateText(failing.robust_accuracy)],
          ["  flagged", "", rateText(failing.flag_rate)],
        ];
  return `detector ${bundle?.id ?? "none (the folder ships none: give one with --detector)"}
target   ${target === null ? "none: no failing sample is answered wrongly" : `"${target.label}"${target.given ? "" : ", the most frequent wrong answer"}`}

${table([
  ["", "unpatched", "patched"],
  [`clean accuracy (${clean.n})`, rateText(clean.accuracy_unpatched), rateText(clean.accuracy)],
  ["  MCC", numberText(clean.mcc_unpatched), numberText(clean.mcc)],
  ["  flagged", "", rateText(clean.flag_rate)],
  ["  answer changed", "", rateText(clean.altered)],
  ...attacked,
])}

clean answers, right before and wrong after or the other way round: ${mcnemarText(clean.mcnemar)}
one sample at a time on this machine now: ${latencyText("nothing flagged", latency.unflagged)}; ${latencyText("flagged", latency.flagged)}
${fairness.map(fairnessText).join("")}${baselines.length > 0 ? baselinesText(baselines) : ""}`;
}

function numberText(value: number | null): string {
  return value === null ? "–" : value.toFixed(3);
}

function mcnemarText({ only_unpatched: lost, only_patched: won, p }: McNemar): string {
  return `${lost} lost, ${won} won (McNemar p ${p < 0.001 ? "< 0.001" : `= ${p.toFixed(3)}`})`;
}

function latencyText(
  what: string,
  { samples, ratio, unpatched_ms: before, patched_ms: after }: Latency,
): string {
  if (ratio === null || before === null || after === null) return `${what}: no sample`;
  return `${what} ${before.toFixed(2)} → ${after.toFixed(2)} ms (×${ratio.toFixed(2)}, ${samples} samples)`;
}

function fairnessText(fairness: TableFairness): string {
  const { attribute, favourable, n, unpatched, patched, baselines } = fairness;
  const row = (name: string, figures: AttributeFairness): string[] => [
    name,
    shareText(figures.accuracy),
    figureText(figures.mcc),
    figureText(figures.spd),
    figureText(figures.di),
    figureText(figures.eod),
    figureText(figures.aaod),
    figures.idr === null ? "–" : rateText(figures.idr),
  ];
  return `
${attribute}, favourable answer "${favourable}", ${n} people: ${summaryOf(fairness)}
${table([
  ["", "accuracy", "MCC", "SPD", "DI", "EOD", "AAOD", "IDR"],
  row("unpatched", unpatched),
  row("patched", patched),
  ...baselines.map(({ name, passes, figures }) =>
    row(passes > 1 ? `${name}, ${passes} passes` : name, figures),
  ),
])}
`;
}

/** "AAOD 77 % lower at −0.1 points accuracy" */
export function summaryOf({ aaod_reduction: lower, accuracy_change: change }: TableFairness): string {
  if (lower === null || change === null) return "too few people to compare";
  const points = `${change < 0 ? "−" : "+"}${Math.abs(100 * change).toFixed(1)} points accuracy`;
  return `AAOD ${Math.abs(100 * lower).toFixed(0)} % ${lower >= 0 ? "lower" : "higher"} at ${points}`;
}

function figureText({ value, low, high }: Figure): string {
  if (value === null) return "–";
  const interval = low === null || high === null ? "" : ` [${low.toFixed(3)}, ${high.toFixed(3)}]`;
  return `${value.toFixed(3)}${interval}`;
}

function shareText({ value }: Figure): string {
  return value === null ? "–" : `${(100 * value).toFixed(1)} %`;
}

function baselinesText(baselines: readonly Baseline[]): string {
  return `
What else could be done
${table([
  ["", "attack success", "right answer", "clean accuracy", "clean answers changed"],
  ...baselines.map(({ name, figures, why }) =>
    figures === null
      ? [name, `– ${why ?? ""}`, "", "", ""]
      : [
          name,
          rateText(figures.attack_success),
          rateText(figures.robust_accuracy),
          rateText(figures.clean_accuracy),
          rateText(figures.altered),
        ],
  ),
])}
`;
}
