/** `evaluate`: what a detector does to a labelled test set. */
import { Command } from "commander";
import { checkFits } from "../detector/bundle.ts";
import { AtPatchError } from "../shared/errors.ts";
import { protectedAttributes } from "../tasks/protected.ts";
import { fullEvaluation } from "../training/full-evaluation.ts";
import { ModelRuns } from "../training/model-runs.ts";
import { SampleStore } from "../training/sample-store.ts";
import { readBundle, readDebugFile } from "./files.ts";
import { diagnose } from "./diagnosis.ts";
import { evaluationText } from "./evaluation-text.ts";
import { shippedBundle } from "./instrument.ts";
import { openBatchEngine, openModel, taskOf, withEngine } from "./opened-model.ts";
import { checkReportFolder } from "./report-folder.ts";
import { nameOf, reportOptions, writeReportOf, type ReportOptions } from "./report-making.ts";
import type { Context } from "./context.ts";

interface Options extends ReportOptions {
  readonly model: string;
  readonly test: string;
  readonly detector?: string;
  readonly target?: string;
  readonly baselines?: boolean;
  readonly json?: boolean;
}

export function evaluateCommand(context: Context): Command {
  return new Command("evaluate")
    .description("measure attack success, accuracy, flag rates and altered predictions on a test set")
    .requiredOption("--model <folder>", "model folder")
    .requiredOption("--test <file>", "test set, in the form of a debug set")
    .option("--detector <bundle>", "detector bundle; default: the last one in the model's folder")
    .option(
      "--target <class>",
      "the answer an attack wants, by index or label; default: the most frequent wrong one",
    )
    .option("--baselines", "also measure what else could be done about it (default)")
    .option("--no-baselines", "leave that out: faster")
    .addOption(reportOptions.report)
    .addOption(reportOptions.force)
    .option("--json", "print one JSON document")
    .addHelpText(
      "after",
      `
Every rate comes with its interval at 95 %: Wilson's, for fairness figures that of a bootstrap. Samples that made the
detector flatter it: use others. The floor of attack success is the share of clean samples of other classes that the model
answers with the target by itself. Tables whose atpatch.json names protected columns and the favourable label get SPD, DI,
EOD, AAOD and individual discrimination (IDR) as well.

--report writes index.html, one page that loads nothing from elsewhere (the verdict first, then figures, attention before and
after, scores, changed answers, limits), and report.json. A report that lies there is replaced. Where there is no detector it
asks whether attention columns carry the failures at all, which takes as long as training.

Examples:
  $ atpatch evaluate --model models/gtsrb-vit --test models/gtsrb-vit/test.jsonl.gz
  $ atpatch evaluate --model models/signs --detector patch.safetensors --test test.jsonl --json
  $ atpatch evaluate --model models/gtsrb-vit --test models/gtsrb-vit/test.jsonl.gz --report report/`,
    )
    .action(async (options: Options) => {
      const output = context.output(options);
      if (options.report !== undefined) await checkReportFolder(options.report, options.force === true);
      const model = await openModel(options.model);
      const bundle =
        options.detector === undefined ? await shippedBundle(model) : await readBundle(options.detector);
      await withEngine(await openBatchEngine(model), async (engine) => {
        const task = await taskOf(model, engine);
        const { samples, digest } = await readDebugFile(options.test, task.labels.length);
        const target = options.target === undefined ? undefined : classIndex(options.target, task.labels);
        if (bundle) {
          checkFits(bundle, engine.description);
          await engine.publish(bundle.id, bundle.tensors);
        }
        const runs = new ModelRuns(engine, task, new SampleStore(task, samples));
        const judgement = await fullEvaluation(runs, {
          bundle,
          ...(target !== undefined && { target }),
          baselines: options.baselines !== false,
          attributes: protectedAttributes(model.folder.settings.columns ?? []),
          favourable: model.folder.settings.favourable ?? null,
          progress: (stage, done, all) => output.progress(stage, done, all),
        });
        const refusal =
          options.report !== undefined && bundle === null ? await diagnose(model, samples, output) : null;
        const making = {
          ...(refusal && { refusal }),
          model,
          runs,
          judgement,
          bundle,
          set: { path: options.test, digest },
          sameSamples: false,
          seed: 0,
          command: commandOf(options),
        };
        await writeReportOf(making, options, output);
        const { evaluation } = judgement;
        output.result(evaluation, () => evaluationText(evaluation, bundle));
      });
    });
}

function commandOf({ model, test, detector, target, baselines }: Options): string[] {
  return [
    "atpatch evaluate",
    `--model ${nameOf(model)}`,
    `--test ${nameOf(test)}`,
    ...(detector === undefined ? [] : [`--detector ${nameOf(detector)}`]),
    ...(target === undefined ? [] : [`--target ${nameOf(target)}`]),
    ...(baselines === false ? ["--no-baselines"] : []),
  ];
}

/** @throws AtPatchError ATPATCH_BAD_INPUT when the text is neither an index nor a label */
function classIndex(text: string, labels: readonly string[]): number {
  const byName = labels.indexOf(text);
  const index = byName >= 0 ? byName : /^\d+$/.test(text) ? Number(text) : NaN;
  if (Number.isNaN(index)) {
    const known = labels.slice(0, 5).join(", ");
    throw new AtPatchError(
      "ATPATCH_BAD_INPUT",
      `--target: "${text}" is no class index and no label (labels: ${known}, …)`,
    );
  }
  return index;
}
