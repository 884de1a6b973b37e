/**
 * From a debug set to a detector bundle: collect, localise, choose, fit, calibrate, check. Deterministic: the same model,
 * debug set, options and seed give the same bytes.
 */
import { encodeBundle, type BundleMetadata } from "../detector/bundle.ts";
import type { InferenceEngine } from "../engine/engine.ts";
import type { DetectorTensors } from "../shared/detector-tensors.ts";
import type { Task } from "../tasks/task.ts";
import { chooseDetector } from "./choose.ts";
import { collect } from "./collect.ts";
import type { SiteColumns } from "./columns.ts";
import { conformalSite } from "./conformal.ts";
import type { DebugSample } from "./debug-set.ts";
import { decide, explainedShare } from "./decide.ts";
import { detectorTensors, type DetectorParts, type ReferenceKind } from "./detector-tensors.ts";
import { evaluate, type Evaluation } from "./evaluate.ts";
import { fitCandidate, type Candidate } from "./candidate.ts";
import { calibrate, finalSplit, type Calibration, type CalibrationOptions } from "./final-fit.ts";
import { gatherData, type Gathered } from "./gather.ts";
import { ModelRuns } from "./model-runs.ts";
import { protect } from "./protect.ts";
import { Random } from "./random.ts";
import { Repairs } from "./repairs.ts";
import { checkGathered, checkSizes, refusal } from "./refusals.ts";
import {
  calibrationReport,
  trainingReport,
  type ConformalReport,
  type ProtectionReport,
  type TrainingReport,
} from "./report.ts";
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
  const isConformal = options.conformal === true || !samples.some(({ set }) => set === "failing");
  checkSizes(samples, options.falseFlagRate, isConformal);
  const gathered = await gatherData(runs, progress);
  if (!isConformal) checkGathered(gathered);
  const published = new PublishedReferences(engine, gathered);
  try {
    const make = isConformal ? fromClean : fromGathered;
    return await make(runs, gathered, published, options, progress);
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
  const isAccepted = verdict === "trigger" || (verdict === "partly" && options.acceptPartial === true);
  if (!isAccepted) throw refusal(choice, verdict);

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

  const tensors = detectorTensors(published.parts(chosen.reference, calibration.detection));
  const report = trainingReport({
    verdict,
    unexplained: chosen.heldOut.unrepaired.slice(0, 20).map((sample) => samples[sample]?.id ?? ""),
    localization: gathered.localization,
    choice,
    calibration,
    alpha,
    selfCheck: await checked(runs, tensors, progress),
  });
  return {
    bundle: encoded(
      runs,
      gathered,
      { ...chosen.candidate, ...setting, ...calibration },
      options,
      report,
      tensors,
    ),
    report,
  };
}

/** A detector of what is unlike ordinary attention, for want of failing samples. */
async function fromClean(
  runs: ModelRuns,
  gathered: Gathered,
  published: PublishedReferences,
  options: TrainOptions,
  progress: TrainProgress,
): Promise<Trained> {
  const { falseFlagRate: alpha, maxAltered, seed } = options;
  const { data } = gathered;
  const split = finalSplit(data, seed);
  const columns = data.sites[0] as SiteColumns;
  const fitted = conformalSite(columns, split.fit.clean, data.layout.kind === "sequence");
  const repairs = new Repairs(runs, data.answers, (kind) => published.id(kind));
  const setting = { alpha, maxAltered, columnShare: 0.99, gateRaise: [0], reference: "benign" } as const;
  const calibration = await calibrate(data, [fitted], split.calibration, repairs, setting);
  const tensors = detectorTensors(published.parts(setting.reference, calibration.detection));
  const report: ConformalReport = {
    verdict: "conformal",
    calibration: calibrationReport(calibration, alpha),
    self_check: await checked(runs, tensors, progress),
  };
  const form = { sites: [columns.site], features: fitted.features, kernel: fitted.kernel };
  return {
    bundle: encoded(runs, gathered, { ...form, ...setting, ...calibration }, options, { ...report }, tensors),
    report,
  };
}

/** What the bundle says of how its detector works. */
type Form = Pick<Candidate, "sites" | "features" | "kernel"> &
  Pick<CalibrationOptions, "reference"> &
  Pick<Calibration, "detection">;

function encoded(
  { engine: { description } }: ModelRuns,
  { reference: { keys } }: Gathered,
  form: Form,
  options: TrainOptions,
  report: BundleMetadata["report"],
  tensors: DetectorTensors,
): Uint8Array {
  return encodeBundle(
    {
      format: 1,
      model: description.fingerprint,
      sites: description.sites.length,
      detectionSites: form.sites,
      features: form.features,
      kernel: form.kernel,
      reference: form.reference,
      keys,
      thresholds: form.detection.map(({ fitted: { site }, gate, column }) => ({ site, gate, column })),
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
