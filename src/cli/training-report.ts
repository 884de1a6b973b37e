/** The report of a training run: what the detector does to the debug set, or why none was made. */
import { parseBundle } from "../detector/bundle.ts";
import { AtPatchError, messageOf } from "../shared/errors.ts";
import { protectedAttributes } from "../tasks/protected.ts";
import type { DebugSample } from "../training/debug-set.ts";
import { fullEvaluation } from "../training/full-evaluation.ts";
import { ModelRuns } from "../training/model-runs.ts";
import { SampleStore } from "../training/sample-store.ts";
import { TrainingRefusal } from "../training/training-refusal.ts";
import type { Trained } from "../training/train.ts";
import { openBatchEngine, taskOf, withEngine, type OpenedModel } from "./opened-model.ts";
import { writeReportOf, type ReportMaking, type ReportOptions } from "./report-making.ts";
import type { Output } from "./output.ts";

export interface TrainingRun extends Pick<ReportMaking, "set" | "seed" | "command"> {
  readonly model: OpenedModel;
  readonly samples: readonly DebugSample[];
  /** The detector, or the refusal. */
  readonly outcome: Trained | AtPatchError;
}

/** Measures the debug set and writes the report where the options name a folder. */
export async function reportTraining(
  run: TrainingRun,
  options: ReportOptions,
  output: Output,
): Promise<void> {
  if (options.report === undefined) return;
  const { model, samples, outcome, set, seed, command } = run;
  const bundle = outcome instanceof AtPatchError ? null : parseBundle(outcome.bundle);
  await withEngine(await openBatchEngine(model), async (engine) => {
    const task = await taskOf(model, engine);
    if (bundle) await engine.publish(bundle.id, bundle.tensors);
    const runs = new ModelRuns(engine, task, new SampleStore(task, samples));
    const { settings } = model.folder;
    const judgement = await fullEvaluation(runs, {
      bundle,
      baselines: true,
      attributes: protectedAttributes(settings.columns ?? []),
      favourable: settings.favourable ?? null,
      progress: (stage, done, all) => output.progress(stage, done, all),
    });
    const making: ReportMaking = {
      model,
      runs,
      judgement,
      bundle,
      set,
      seed,
      command,
      sameSamples: bundle !== null,
      ...(outcome instanceof AtPatchError && { refusal: refusalOf(outcome) }),
    };
    await writeReportOf(making, options, output);
  });
}

function refusalOf(error: AtPatchError): NonNullable<ReportMaking["refusal"]> {
  return { message: messageOf(error), findings: error instanceof TrainingRefusal ? error.findings : [] };
}
