/** `train`: from a debug set to a detector bundle. */
import { Command } from "commander";
import { bundleId } from "../detector/bundle.ts";
import { verdictBounds } from "../training/decide.ts";
import { percentText } from "../training/refusals.ts";
import { referenceTaps } from "../training/reference.ts";
import { train, type Trained } from "../training/train.ts";
import type { CalibrationReport, TrainingReport } from "../training/report.ts";
import { packageVersion } from "../version.ts";
import { natural, share, shareFromZero } from "./arguments.ts";
import { readDebugFile, writeWhole } from "./files.ts";
import { rateText, table } from "./format.ts";
import { openBatchEngine, openModel, taskOf, withEngine } from "./opened-model.ts";
import type { Context } from "./context.ts";

interface Options {
  readonly model: string;
  readonly debug: string;
  readonly out: string;
  readonly falseFlagRate: number;
  readonly maxAltered: number;
  readonly seed: number;
  readonly acceptPartial?: boolean;
  readonly detect?: boolean;
  readonly conformal?: boolean;
  readonly json?: boolean;
}

export function trainCommand(context: Context): Command {
  return new Command("train")
    .description("localise when needed, fit and calibrate a detector, check it, write the bundle")
    .requiredOption("--model <folder>", "model folder")
    .requiredOption("--debug <file>", "debug set: JSON Lines, optionally gzip")
    .requiredOption("--out <file>", "the bundle to write (.safetensors)")
    .option("--false-flag-rate <share>", "clean requests that may be flagged", share, 0.02)
    .option("--max-altered <share>", "clean predictions that may change", shareFromZero, 0.005)
    .option("--seed <number>", "seed of every random choice", natural, 0)
    .option("--accept-partial", "go on when attention columns explain only a part of the failures")
    .option("--detect", "fit a detector although the model has protected columns")
    .option("--conformal", "fit nothing to the failing samples: flag what is unlike ordinary attention")
    .option("--json", "print one JSON document")
    .addHelpText(
      "after",
      `
A debug set has one sample a line:
  {"id": "a17", "set": "clean" | "failing", "label": 3, "pair": "a03" | null, "instance": …, "columns": [12, 13]?}
50 failing and 600 clean samples are enough; 20 and 200 often do. Without "columns" they are localised first.

The detector is chosen by cross-validation: fitted on one half of the set, judged by what it does to the other half. When that
explains less than 15 % of the failures nothing is written, because those are ordinary errors; up to 60 % only with
--accept-partial; below 85 % the failures that are left are named.
The same model, set, options and seed give the same bytes.

When atpatch.json marks columns of a table as protected, nothing is detected: those columns are repaired in every sample, so
that no answer depends on them, and clean samples alone are enough. --detect fits a detector all the same.

Without failing samples, or with --conformal, the detector flags what is unlike the attention of the clean samples. It finds
some triggers and misses others (on text most of them): a stopgap until failing samples are there.

Examples:
  $ atpatch train --model models/gtsrb-vit --debug models/gtsrb-vit/debug.jsonl.gz --out patch.safetensors
  $ atpatch train --model models/signs --debug located.jsonl --out patch.safetensors --false-flag-rate 0.005`,
    )
    .action(async (options: Options) => {
      const output = context.output(options);
      const started = performance.now();
      const model = await openModel(options.model);
      await withEngine(await openBatchEngine(model, { taps: referenceTaps }), async (engine) => {
        const task = await taskOf(model, engine);
        const { samples, digest } = await readDebugFile(options.debug, task.labels.length);
        const { bundle, report } = await train(engine, task, samples, {
          falseFlagRate: options.falseFlagRate,
          maxAltered: options.maxAltered,
          seed: options.seed,
          acceptPartial: options.acceptPartial === true,
          detect: options.detect === true,
          conformal: options.conformal === true,
          provenance: {
            tool: `atpatch ${packageVersion()}`,
            model: model.folder.name,
            debug_set: digest,
            ...creationTime(),
          },
          progress: (stage, done, all) => output.progress(stage, done, all),
        });
        await writeWhole(options.out, [bundle]);
        const seconds = (performance.now() - started) / 1000;
        const document = {
          out: options.out,
          detector: bundleId(bundle),
          bytes: bundle.length,
          seconds,
          report,
        };
        output.result(document, () => trainedText(document));
      });
    });
}

/** The time of making, only where the environment pins it: it would make every bundle differ. */
function creationTime(): { createdAt?: string } {
  const seconds = Number(process.env["SOURCE_DATE_EPOCH"] || NaN);
  return Number.isFinite(seconds) ? { createdAt: new Date(seconds * 1000).toISOString() } : {};
}

function trainedText(trained: {
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
