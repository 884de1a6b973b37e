/**
 * From a debug set to a detector bundle: collect, localise, choose, fit, calibrate, check. Deterministic: the same model,
 * debug set, options and seed give the same bytes.
 */
import { encodeBundle, type BundleMetadata } from "../detector/bundle.ts";
import type { InferenceEngine } from "../engine/engine.ts";
import type { DetectorTensors } from "../shared/detector-tensors.ts";
import type { Task } from "../tasks/task.ts";
import type { DebugSample } from "./debug-set.ts";
import { evaluate, type Evaluation } from "./evaluate.ts";
import {
  chooseForFailures,
  fitChosen,
  fitToClean,
  type FitDetectorOptions,
  type FittedDetector,
} from "./fit-detector.ts";
import { gatherData, type Gathered } from "./gather.ts";
import { ModelRuns } from "./model-runs.ts";
import { protect } from "./protect.ts";
import { PublishedReferences } from "./references.ts";
import { checkGathered, checkSizes, refusal, unexplainedIds } from "./refusals.ts";
import { Repairs } from "./repairs.ts";
import {
  calibrationReport,
  trainingReport,
  type ConformalReport,
  type ProtectionReport,
  type TrainingReport,
} from "./report.ts";
import { SampleStore } from "./sample-store.ts";

export interface TrainOptions {
  /** Share of clean requests that may be flagged (α). */
  readonly falseFlagRate: number;
  /** Share of clean predictions that may change. */
  readonly maxAltered: number;
  readonly seed: number;
  /** Optimisation steps of each fit; 300 when absent. */
  readonly steps?: number;
  /** Go on when only a part of the failures is explained by attention columns. */
  readonly acceptPartial?: boolean;
  /** Fit a detector although the model has protected columns, which are otherwise repaired in every sample. */
  readonly detect?: boolean;
  /** Fit nothing to the failing samples: flag what is unlike ordinary attention. Done anyway when none is failing. */
  readonly conformal?: boolean;
  /** What else the bundle's provenance says: tool version, digest of the debug set. */
  readonly provenance?: Readonly<Record<string, unknown>>;
  readonly progress?: TrainProgress;
}

/** @param all 0 when the stage has no steps to count */
export type TrainProgress = (stage: string, done: number, all: number) => void;

export interface Trained {
  readonly bundle: Uint8Array;
  readonly report: TrainingReport | ProtectionReport | ConformalReport;
}

export const defaultSteps = 300;

/**
 * @param engine runs a model built with `referenceTaps`
 * @throws AtPatchError ATPATCH_TRAINING when the set is too small or its failures are not carried by attention columns,
 *   with the evidence; ATPATCH_BAD_DEBUG_SET naming a sample
 */
export async function train(
  engine: InferenceEngine,
  task: Task,
  samples: readonly DebugSample[],
  options: TrainOptions,
): Promise<Trained> {
  const progress = options.progress ?? (() => {});
  const runs = new ModelRuns(engine, task, new SampleStore(task, samples));
  const { layout } = task;
  if (layout.kind === "features" && layout.protected.length > 0 && options.detect !== true) {
    return protect(runs, layout.protected, { ...options.provenance }, progress);
  }
  const isConformal = options.conformal === true || !samples.some(({ set }) => set === "failing");
  checkSizes(samples, options.falseFlagRate, isConformal);
  const gathered = await gatherData(runs, progress);
  if (!isConformal) checkGathered(gathered);
  const published = new PublishedReferences(engine, gathered);
  try {
    return await (isConformal ? fromClean : fromFailures)(runs, gathered, published, options);
  } finally {
    await published.retireAll();
  }
}

async function fromFailures(
  runs: ModelRuns,
  gathered: Gathered,
  published: PublishedReferences,
  options: TrainOptions,
): Promise<Trained> {
  const { samples } = runs.store;
  const repairs = new Repairs(runs, gathered.data.answers, (kind) => published.id(kind));
  const setting = fitOptions(options);
  const { choice, verdict } = await chooseForFailures(runs, gathered, repairs, setting);
  const isAccepted = verdict === "trigger" || (verdict === "partly" && options.acceptPartial === true);
  if (!isAccepted) throw refusal(choice, verdict, samples);
  const detector = await fitChosen(choice, published, repairs, setting);
  const report = trainingReport({
    verdict,
    unexplained: unexplainedIds(choice, samples),
    localization: gathered.localization,
    choice,
    calibration: detector.calibration,
    alpha: options.falseFlagRate,
    selfCheck: await checked(runs, detector.tensors, setting.progress),
  });
  return { bundle: encoded(runs, gathered, detector, options, report), report };
}

async function fromClean(
  runs: ModelRuns,
  gathered: Gathered,
  published: PublishedReferences,
  options: TrainOptions,
): Promise<Trained> {
  const repairs = new Repairs(runs, gathered.data.answers, (kind) => published.id(kind));
  const setting = fitOptions(options);
  const detector = await fitToClean(gathered.data, published, repairs, setting);
  const report: ConformalReport = {
    verdict: "conformal",
    calibration: calibrationReport(detector.calibration, options.falseFlagRate),
    self_check: await checked(runs, detector.tensors, setting.progress),
  };
  return { bundle: encoded(runs, gathered, detector, options, { ...report }), report };
}

function fitOptions(options: TrainOptions): FitDetectorOptions {
  const { falseFlagRate: alpha, maxAltered, seed, steps = defaultSteps, progress = () => {} } = options;
  return { alpha, maxAltered, seed, steps, progress };
}

function encoded(
  { engine: { description } }: ModelRuns,
  { reference: { keys } }: Gathered,
  { form, reference, calibration, tensors }: FittedDetector,
  options: TrainOptions,
  report: BundleMetadata["report"],
): Uint8Array {
  return encodeBundle(
    {
      format: 1,
      model: description.fingerprint,
      sites: description.sites.length,
      detectionSites: form.sites,
      features: form.features,
      kernel: form.kernel,
      reference,
      keys,
      thresholds: calibration.detection.map(({ fitted: { site }, gate, column }) => ({ site, gate, column })),
      provenance: {
        ...options.provenance,
        seed: options.seed,
        options: {
          false_flag_rate: options.falseFlagRate,
          max_altered: options.maxAltered,
          accept_partial: options.acceptPartial === true,
        },
      },
      report,
    },
    tensors,
  );
}

/** The whole debug set through the finished detector. */
async function checked(
  runs: ModelRuns,
  tensors: DetectorTensors,
  progress: TrainProgress,
): Promise<Evaluation> {
  const detector = "self-check";
  await runs.engine.publish(detector, tensors);
  try {
    return await evaluate(runs, { detector, progress: (done, all) => progress("checking", done, all) });
  } finally {
    await runs.engine.retire(detector);
  }
}
