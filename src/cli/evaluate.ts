/** `evaluate`: what a detector does to a labelled test set. */
import { Command } from "commander";
import { checkFits, type Bundle } from "../detector/bundle.ts";
import { AtPatchError } from "../shared/errors.ts";
import { evaluate, type Evaluation } from "../training/evaluate.ts";
import { ModelRuns } from "../training/model-runs.ts";
import { SampleStore } from "../training/sample-store.ts";
import { readBundle, readDebugFile } from "./files.ts";
import { rateText, table } from "./format.ts";
import { shippedBundle } from "./instrument.ts";
import { openBatchEngine, openModel, taskOf, withEngine } from "./opened-model.ts";
import type { Context } from "./context.ts";

interface Options {
  readonly model: string;
  readonly test: string;
  readonly detector?: string;
  readonly target?: string;
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
    .option("--json", "print one JSON document")
    .addHelpText(
      "after",
      `
Every rate comes with its Wilson interval at 95 %. Samples that made the detector flatter it: use others.

Examples:
  $ atpatch evaluate --model models/gtsrb-vit --test models/gtsrb-vit/test.jsonl.gz
  $ atpatch evaluate --model models/signs --detector patch.safetensors --test test.jsonl --json`,
    )
    .action(async (options: Options) => {
      const output = context.output(options);
      const model = await openModel(options.model);
      const bundle =
        options.detector === undefined ? await shippedBundle(model) : await readBundle(options.detector);
      await withEngine(await openBatchEngine(model), async (engine) => {
        const task = await taskOf(model, engine);
        const { samples } = await readDebugFile(options.test, task.labels.length);
        const target = options.target === undefined ? undefined : classIndex(options.target, task.labels);
        if (bundle) {
          checkFits(bundle, engine.description);
          await engine.publish(bundle.id, bundle.tensors);
        }
        const evaluation = await evaluate(new ModelRuns(engine, task, new SampleStore(task, samples)), {
          detector: bundle?.id ?? null,
          ...(target !== undefined && { target }),
          progress: (done, all) => output.progress("evaluating", done, all),
        });
        output.result(evaluation, () => evaluationText(evaluation, bundle));
      });
    });
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

export function evaluationText(evaluation: Evaluation, bundle: Pick<Bundle, "id"> | null): string {
  const { clean, failing, target } = evaluation;
  return `detector ${bundle?.id ?? "none (the folder ships none: give one with --detector)"}
target   ${target === null ? "none: no failing sample is answered wrongly" : `"${target.label}"${target.given ? "" : ", the most frequent wrong answer"}`}

${table([
  ["", "unpatched", "patched"],
  [`clean accuracy (${clean.n})`, rateText(clean.accuracy_unpatched), rateText(clean.accuracy)],
  ["  flagged", "", rateText(clean.flag_rate)],
  ["  answer changed", "", rateText(clean.altered)],
  [
    `attack success (${failing.n})`,
    rateText(failing.attack_success_unpatched),
    rateText(failing.attack_success),
  ],
  ["  right answer", rateText(failing.robust_accuracy_unpatched), rateText(failing.robust_accuracy)],
  ["  flagged", "", rateText(failing.flag_rate)],
])}
`;
}
