/**
 * From a debug set to a detector bundle: collect, localise, choose, fit, calibrate, check. Deterministic: the same model,
 * debug set, options and seed give the same bytes.
 */
import { encodeBundle } from "../detector/bundle.ts";
import type { InferenceEngine } from "../engine/engine.ts";
import type { DetectorTensors } from "../shared/detector-tensors.ts";
import type { Task } from "../tasks/task.ts";
import { chooseDetector } from "./choose.ts";
import { collect } from "./collect.ts";
import type { DebugSample } from "./debug-set.ts";
import { decide, explainedShare } from "./decide.ts";
import { detectorTensors, type DetectorParts, type ReferenceKind } from "./detector-tensors.ts";
import { evaluate, type Evaluation } from "./evaluate.ts";
import { fitCandidate } from "./candidate.ts";
import { calibrate, finalSplit } from "./final-fit.ts";
import { gatherData, type Gathered } from "./gather.ts";
import { ModelRuns } from "./model-runs.ts";
import { protect } from "./protect.ts";
import { Random } from "./random.ts";
import { Repairs } from "./repairs.ts";
import { checkGathered, checkSizes, refusal } from "./refusals.ts";
import { trainingReport, type ProtectionReport, type TrainingReport } from "./report.ts";
import { SampleStore } from "./sample-store.ts";
import { stratifiedFolds } from "./split.ts";

export interface TrainOptions {
  /** Share of clean requests that may be flagged (α). */
  readonly falseFlagRate: number;
  /** Share of clean predictions that may change. */
  readonly maxAltered: number;
  readonly seed: number;
  /** Optimisation steps of each fit; 450 when absent. */
  readonly steps?: number;
  /** Go on when only a part of the failures is explained by attention columns. */
  readonly acceptPartial?: boolean;
  /** Fit a detector although the model has protected columns, which are otherwise repaired in every sample. */
  readonly detect?: boolean;
  /** What else the bundle's provenance says: tool version, digest of the debug set. */
  readonly provenance?: Readonly<Record<string, unknown>>;
  readonly progress?: TrainProgress;
}

/** @param all 0 when the stage has no steps to count */
export type TrainProgress = (stage: string, done: number, all: number) => void;

export interface Trained {
  readonly bundle: Uint8Array;
  readonly report: TrainingReport | ProtectionReport;
}

/** Base samples are dealt to this many folds for choosing; two leave most failing samples held out. */
const folds = 2;
const defaultSteps = 450;

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
  checkSizes(samples, options.falseFlagRate);
  const gathered = await gatherData(runs, progress);
  checkGathered(gathered);
  const published = new PublishedReferences(engine, gathered);
  try {
    return await fromGathered(runs, gathered, published, options, progress);
  } finally {
    await published.retireAll();
  }
}

async function fromGathered(
  runs: ModelRuns,
  gathered: Gathered,
  published: PublishedReferences,
  options: TrainOptions,
  progress: TrainProgress,
): Promise<Trained> {
  const { seed, steps = defaultSteps, falseFlagRate: alpha, maxAltered } = options;
  const { samples } = runs.store;
  const { data: firstData, secondSite } = gathered;
  const repairs = new Repairs(runs, firstData.answers, (kind) => published.id(kind));
  const widen = async (): Promise<typeof firstData> => {
    const { sites } = await collect(runs, [secondSite as number]);
    return { ...firstData, sites: [...firstData.sites, ...sites] };
  };
  const choice = await chooseDetector(
    firstData,
    secondSite === null ? null : widen,
    repairs,
    stratifiedFolds(samples, folds, new Random(seed, "folds")),
    { alpha, seed, steps, progress: (what) => progress(`choosing: ${what}`, 0, 0) },
  );
  const { data, chosen } = choice;
  const verdict = decide(explainedShare(chosen.heldOut, choice.control));
  if (verdict === "ordinary errors")
    throw refusal(choice, "these failures look like ordinary errors, not like a trigger");
  if (verdict === "partly" && options.acceptPartial !== true) {
    throw refusal(choice, "only a part of these failures is carried by attention columns");
  }

  progress("fitting", 0, 0);
  const split = finalSplit(data, seed);
  const fitted = fitCandidate(data, chosen.candidate, split.fit, { seed, steps }, "final");
  const setting = {
    alpha,
    maxAltered,
    columnShare: chosen.columnShare,
    gateRaise: choice.gateRaise,
    reference: chosen.reference,
  };
  const calibration = await calibrate(data, fitted, split.calibration, repairs, setting);

  const parts = published.parts(chosen.reference, calibration.detection);
  const tensors = detectorTensors(parts);
  const { description } = runs.engine;
  const selfCheck = await checked(runs, tensors, progress);
  const report = trainingReport({
    verdict,
    localization: gathered.localization,
    choice,
    calibration,
    alpha,
    selfCheck,
  });
  const bundle = encodeBundle(
    {
      format: 1,
      model: description.fingerprint,
      sites: description.sites.length,
      detectionSites: chosen.candidate.sites,
      features: chosen.candidate.features,
      kernel: chosen.candidate.kernel,
      reference: chosen.reference,
      keys: gathered.reference.keys,
      thresholds: calibration.detection.map(({ fitted: { site }, gate, column }) => ({ site, gate, column })),
      provenance: {
        ...options.provenance,
        seed,
        options: {
          false_flag_rate: alpha,
          max_altered: maxAltered,
          accept_partial: options.acceptPartial === true,
        },
      },
      report,
    },
    tensors,
  );
  return { bundle, report };
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

/** Detectors that only carry a benign reference, published when they are first needed. */
class PublishedReferences {
  readonly #engine: InferenceEngine;
  readonly #gathered: Gathered;
  readonly #ids = new Map<ReferenceKind, string>();

  constructor(engine: InferenceEngine, gathered: Gathered) {
    this.#engine = engine;
    this.#gathered = gathered;
  }

  parts(kind: ReferenceKind, detection: DetectorParts["detection"]): DetectorParts {
    const { reference, data } = this.#gathered;
    return {
      sites: this.#engine.description.sites.length,
      detection,
      reference,
      kind,
      firstKey: data.layout.firstKey,
    };
  }

  async id(kind: ReferenceKind): Promise<string> {
    const known = this.#ids.get(kind);
    if (known !== undefined) return known;
    const id = `reference-${kind}`;
    await this.#engine.publish(id, detectorTensors(this.parts(kind, [])));
    this.#ids.set(kind, id);
    return id;
  }

  async retireAll(): Promise<void> {
    for (const id of this.#ids.values()) await this.#engine.retire(id);
    this.#ids.clear();
  }
}
