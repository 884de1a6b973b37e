/** `train`: from a debug set to a detector bundle. */
import { Command } from "commander";
import { bundleId } from "../detector/bundle.ts";
import { referenceTaps } from "../training/reference.ts";
import { train, type Trained, type TrainOptions } from "../training/train.ts";
import { packageVersion } from "../version.ts";
import { natural, share, shareFromZero } from "./arguments.ts";
import { AtPatchError } from "../shared/errors.ts";
import { readDebugFile, writeWhole, type DebugFile } from "./files.ts";
import { openBatchEngine, openModel, taskOf, withEngine, type OpenedModel } from "./opened-model.ts";
import { checkReportFolder } from "./report-folder.ts";
import { nameOf, reportOptions, type ReportOptions } from "./report-making.ts";
import { reportTraining } from "./training-report.ts";
import { trainedText } from "./training-text.ts";
import type { Context } from "./context.ts";
import { defaultRepairOptions } from "../service/repair-job.ts";
import type { Output } from "./output.ts";

interface Options extends ReportOptions {
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
    .option(
      "--false-flag-rate <share>",
      "clean requests that may be flagged",
      share,
      defaultRepairOptions.falseFlagRate,
    )
    .option(
      "--max-altered <share>",
      "clean predictions that may change",
      shareFromZero,
      defaultRepairOptions.maxAltered,
    )
    .option("--seed <number>", "seed of every random choice", natural, defaultRepairOptions.seed)
    .option("--accept-partial", "go on when attention columns explain only a part of the failures")
    .option("--detect", "fit a detector although the model has protected columns")
    .option("--conformal", "fit nothing to the failing samples: flag what is unlike ordinary attention")
    .addOption(reportOptions.report)
    .addOption(reportOptions.force)
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

--report writes index.html, one page that loads nothing from elsewhere, and report.json: what the detector does to the debug set
beside the alternatives, or, when no detector is made, why not, with the evidence.

Examples:
  $ atpatch train --model models/gtsrb-vit --debug models/gtsrb-vit/debug.jsonl.gz --out patch.safetensors
  $ atpatch train --model models/signs --debug located.jsonl --out patch.safetensors --false-flag-rate 0.005
  $ atpatch train --model models/mnist-blend --debug models/mnist-blend/debug.jsonl.gz --out patch.safetensors --report report/`,
    )
    .action(async (options: Options) => {
      const output = context.output(options);
      if (options.report !== undefined) await checkReportFolder(options.report, options.force === true);
      const started = performance.now();
      const model = await openModel(options.model);
      const { samples, digest, outcome } = await trained(model, options, output);
      const made = outcome instanceof AtPatchError ? null : outcome;
      if (made) await writeWhole(options.out, [made.bundle]);
      const seconds = (performance.now() - started) / 1000;
      const command = commandOf(options);
      const set = { path: options.debug, digest };
      await reportTraining({ model, samples, set, outcome, seed: options.seed, command }, options, output);
      if (outcome instanceof AtPatchError) throw outcome;
      const document = {
        out: options.out,
        detector: bundleId(outcome.bundle),
        bytes: outcome.bundle.length,
        seconds,
        report: outcome.report,
      };
      output.result(document, () => trainedText(document));
    });
}

/** Trains; a refusal (`ATPATCH_TRAINING`) comes back instead of being thrown, since it can be reported. */
async function trained(
  model: OpenedModel,
  options: Options,
  output: Output,
): Promise<DebugFile & { readonly outcome: Trained | AtPatchError }> {
  return withEngine(await openBatchEngine(model, { taps: referenceTaps }), async (engine) => {
    const task = await taskOf(model, engine);
    const { samples, digest } = await readDebugFile(options.debug, task.labels.length);
    const setting: TrainOptions = {
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
    };
    try {
      return { samples, digest, outcome: await train(engine, task, samples, setting) };
    } catch (error) {
      if (error instanceof AtPatchError && error.code === "ATPATCH_TRAINING") {
        return { samples, digest, outcome: error };
      }
      throw error;
    }
  });
}

function commandOf(options: Options): string[] {
  const { model, debug, out, falseFlagRate, maxAltered, seed } = options;
  return [
    "atpatch train",
    `--model ${nameOf(model)}`,
    `--debug ${nameOf(debug)}`,
    `--out ${nameOf(out)}`,
    `--false-flag-rate ${falseFlagRate}`,
    `--max-altered ${maxAltered}`,
    `--seed ${seed}`,
    ...(options.acceptPartial ? ["--accept-partial"] : []),
    ...(options.detect ? ["--detect"] : []),
    ...(options.conformal ? ["--conformal"] : []),
  ];
}

/** The time of making, only where the environment pins it: it would make every bundle differ. */
function creationTime(): { createdAt?: string } {
  const seconds = Number(process.env["SOURCE_DATE_EPOCH"] || NaN);
  return Number.isFinite(seconds) ? { createdAt: new Date(seconds * 1000).toISOString() } : {};
}
