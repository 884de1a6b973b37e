/** From gathered columns to a calibrated detector: fitted to failing samples, or to clean ones alone. */
import type { DetectorTensors } from "../shared/detector-tensors.ts";
import { fitCandidate, type Candidate } from "./candidate.ts";
import { chooseDetector, type Choice } from "./choose.ts";
import { collect } from "./collect.ts";
import type { SiteColumns } from "./columns.ts";
import { conformalSite } from "./conformal.ts";
import { decide, type Verdict } from "./decide.ts";
import { detectorTensors, type ReferenceKind } from "./detector-tensors.ts";
import { calibrate, finalSplit, type Calibration } from "./final-fit.ts";
import type { Gathered } from "./gather.ts";
import type { ModelRuns } from "./model-runs.ts";
import { Random } from "./random.ts";
import type { PublishedReferences } from "./references.ts";
import type { Repairs } from "./repairs.ts";
import type { SearchSpace } from "./search-detector.ts";
import { stratifiedFolds } from "./split.ts";
import type { TrainingData } from "./training-data.ts";

export interface FitDetectorOptions {
  /** Share of clean requests that may be flagged. */
  readonly alpha: number;
  /** Share of clean predictions that may change. */
  readonly maxAltered: number;
  readonly seed: number;
  /** Optimisation steps of each fit. */
  readonly steps: number;
  /** Forms and settings to choose from; all of them when absent. */
  readonly space?: SearchSpace;
  readonly progress: (stage: string, done: number, all: number) => void;
}

/** A detector with what it was made from. */
export interface FittedDetector {
  readonly form: Pick<Candidate, "sites" | "features" | "kernel">;
  readonly reference: ReferenceKind;
  readonly calibration: Calibration;
  readonly tensors: DetectorTensors;
}

/** Base samples are dealt to this many folds for choosing; two leave most failing samples held out. */
const folds = 2;

export interface ChosenDetector {
  readonly choice: Choice;
  readonly verdict: Verdict;
}

/** The form of a detector by cross-validated repair, and what that says of the failing samples. */
export async function chooseForFailures(
  runs: ModelRuns,
  { data, secondSite }: Pick<Gathered, "data" | "secondSite">,
  repairs: Repairs,
  options: FitDetectorOptions,
): Promise<ChosenDetector> {
  const { alpha, seed, steps, space, progress } = options;
  const widen = async (): Promise<readonly SiteColumns[]> =>
    (await collect(runs, [secondSite as number])).sites;
  const choice = await chooseDetector(
    data,
    secondSite === null ? null : widen,
    repairs,
    stratifiedFolds(data.samples, folds, new Random(seed, "folds")),
    {
      alpha,
      seed,
      steps,
      ...(space && { space }),
      progress: (what, done, all) => progress(`choosing: ${what}`, done, all),
    },
  );
  return { choice, verdict: decide(choice.explained) };
}

/** The chosen detector, fitted to all failing samples and calibrated on clean samples of its own. */
export async function fitChosen(
  { data, chosen, gateRaise }: Choice,
  published: PublishedReferences,
  repairs: Repairs,
  options: FitDetectorOptions,
): Promise<FittedDetector> {
  const { alpha, maxAltered, seed, steps, progress } = options;
  progress("fitting", 0, 0);
  const split = finalSplit(data, seed);
  const { candidate, columnShare, reference } = chosen;
  const fitted = fitCandidate(data, candidate, split.fit, { seed, steps }, "final");
  const setting = { alpha, maxAltered, columnShare, gateRaise, reference };
  const calibration = await calibrate(data, fitted, split.calibration, repairs, setting);
  const tensors = detectorTensors(published.parts(reference, calibration.detection));
  return { form: candidate, reference, calibration, tensors };
}

/** A detector of what is unlike ordinary attention, for want of failing samples. */
export async function fitToClean(
  data: TrainingData,
  published: PublishedReferences,
  repairs: Repairs,
  { alpha, maxAltered, seed }: Pick<FitDetectorOptions, "alpha" | "maxAltered" | "seed">,
): Promise<FittedDetector> {
  const split = finalSplit(data, seed);
  const columns = data.sites[0] as SiteColumns;
  const fitted = conformalSite(columns, split.fit.clean, data.layout.kind === "sequence");
  const reference = "benign";
  const setting = { alpha, maxAltered, columnShare: 0.99, gateRaise: [0], reference } as const;
  const calibration = await calibrate(data, [fitted], split.calibration, repairs, setting);
  const tensors = detectorTensors(published.parts(reference, calibration.detection));
  const form = { sites: [columns.site], features: fitted.features, kernel: fitted.kernel };
  return { form, reference, calibration, tensors };
}
