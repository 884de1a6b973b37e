/** What `train` made, as a person reads it. */
import { verdictBounds } from "../training/decide.ts";
import { percentText } from "../training/refusals.ts";
import type { CalibrationReport, TrainingReport } from "../training/report.ts";
import type { Trained } from "../training/train.ts";
import { rateText, table } from "./format.ts";

export function trainedText(trained: {
  out: string;
  detector: string;
  bytes: number;
  seconds: number;
  report: Trained["report"];
}): string {
  const { report, out, detector, bytes, seconds } = trained;
  const next = `${out}: ${detector}, ${bytes} bytes, ${seconds.toFixed(0)} s
Next: atpatch evaluate --model … --detector ${out} --test <samples kept aside>
`;
  if (report.verdict === "protected") {
    return `${report.protected.join(", ")}: repaired in every sample, so that no answer depends on it

Whole debug set, unpatched → patched
${table([
  [
    "clean accuracy",
    `${rateText(report.self_check.clean.accuracy_unpatched)} → ${rateText(report.self_check.clean.accuracy)}`,
  ],
  ["answer changed", rateText(report.self_check.clean.altered)],
])}

${next}`;
  }
  if (report.verdict === "conformal") {
    return `fitted to no failure: flags what is unlike the attention of the clean samples, and misses triggers that are not

Thresholds from ${report.calibration.n} clean samples that were not averaged
${calibrationTable(report.calibration)}
Whole debug set, unpatched → patched
${selfCheckTable(report.self_check)}

${next}`;
  }
  const { held_out: held, calibration, self_check: check, localization } = report;
  return `${verdictText(report)}

Columns of the failing samples
${table([
  ["given", String(localization.columns_given)],
  ...(localization.set_aside > 0
    ? [["left aside, enough without them", String(localization.set_aside)]]
    : []),
  [
    "found",
    `${rateText(localization.found)} of ${localization.searched} searched, ${localization.passes} passes`,
  ],
])}
Chosen by cross-validation (samples that the fit did not see)
${table([
  [
    "features",
    `${held.features}, kernel ${held.kernel}, sites ${held.sites.join(", ")}, reference ${held.reference}`,
  ],
  ["failing: answer changed", rateText(held.repaired)],
  ["  with random columns", rateText(report.control.repaired)],
  ["failing: right answer", rateText(held.robust_accuracy)],
  ["  answer changed by the columns found", rateText(report.repairable)],
  ["clean: flagged", rateText(held.flag_rate)],
  ["clean: answer changed", rateText(held.altered)],
])}
Thresholds from ${calibration.n} clean samples that the fit did not see
${calibrationTable(calibration)}
Whole debug set, unpatched → patched (most of it was used for the fit)
${selfCheckTable(check)}
${unexplainedText(report)}
${next}`;
}

function calibrationTable(calibration: CalibrationReport): string {
  return table([
    ["bound on flagged clean", percentText(calibration.false_flag_rate)],
    ["flagged", rateText(calibration.flag_rate)],
    ["answer changed", rateText(calibration.altered)],
  ]);
}

function selfCheckTable({ clean, failing, target }: TrainingReport["self_check"]): string {
  return table([
    ["clean accuracy", `${rateText(clean.accuracy_unpatched)} → ${rateText(clean.accuracy)}`],
    ...(failing.n > 0
      ? [
          [
            `answered "${target?.label ?? "?"}"`,
            `${rateText(failing.attack_success_unpatched)} → ${rateText(failing.attack_success)}`,
          ],
          [
            "failing, right answer",
            `${rateText(failing.robust_accuracy_unpatched)} → ${rateText(failing.robust_accuracy)}`,
          ],
        ]
      : []),
  ]);
}

function verdictText({ verdict, explained }: TrainingReport): string {
  if (verdict === "partly")
    return `only a part of the failures, about ${percentText(explained)}, is carried by attention columns`;
  const rest =
    explained < verdictBounds.mostly ? `; about ${percentText(1 - explained)} are not explained by it` : "";
  return `the failures look like a trigger, and the detector finds it${rest}`;
}

/** A hint that the set may hold failures of several kinds; empty when nearly all are explained. */
function unexplainedText({ explained, unexplained, consistent, localization }: TrainingReport): string {
  if (explained >= verdictBounds.mostly) return "";
  return `
Note: the set seems to hold failures of another kind; the fit went by ${consistent} of ${localization.failing}. Not answered rightly when the
detector had not seen them: ${unexplained.slice(0, 8).join(", ")}${unexplained.length > 8 ? ", …" : ""}. Train on one kind at a time.
`;
}
