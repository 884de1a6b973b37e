/** The detector that is shipped: fitted on all failing samples, calibrated on clean samples it never saw. */
import { gateRank, gateThresholds, columnThreshold } from "./calibrate.ts";
import {
  judgedScores,
  scoreFitted,
  siteColumns,
  fitCandidate,
  type Candidate,
  type FitPart,
} from "./candidate.ts";
import type { DetectionSite, ReferenceKind } from "./detector-tensors.ts";
import { flaggedAt } from "./flags.ts";
import type { FittedSite } from "./fit.ts";
import type { SampleLabels } from "./labels.ts";
import { Random } from "./random.ts";
import type { Repairs } from "./repairs.ts";
import { baseGroups } from "./split.ts";
import type { TrainingData } from "./training-data.ts";

export interface FinalSplit {
  readonly fit: FitPart;
  /** Clean samples for calibration; no sample of the fit shares a base sample with them. */
  readonly calibration: readonly number[];
}

/** Share of the clean samples that calibration gets. */
const calibrationShare = 0.5;

/**
 * Failing samples go to the fit, with their twins. Half of the clean samples are for calibration; base samples with a
 * failing member are taken for it only when the others do not suffice.
 */
export function finalSplit(data: TrainingData, seed: number): FinalSplit {
  const failing = new Set(data.failing);
  const random = new Random(seed, "calibration");
  const groups = random.shuffled(baseGroups(data.samples));
  const isPaired = (group: readonly number[]): boolean => group.some((sample) => failing.has(sample));
  const wanted = Math.floor(data.clean.length * calibrationShare);
  const calibration = new Set<number>();
  const held = new Set<number>();
  for (const group of [...groups.filter((g) => !isPaired(g)), ...groups.filter(isPaired)]) {
    if (calibration.size >= wanted) break;
    for (const sample of group) {
      held.add(sample);
      if (data.samples[sample]?.set === "clean") calibration.add(sample);
    }
  }
  return {
    fit: {
      failing: data.failing
        .filter((sample) => !held.has(sample))
        .map((sample) => data.labels.get(sample))
        .filter((labels): labels is SampleLabels => labels !== undefined && labels.positive.length > 0),
      clean: data.clean.filter((sample) => !held.has(sample)),
    },
    calibration: [...calibration].sort((a, b) => a - b),
  };
}

/** Columns of the ring that score above this quantile of clean columns become positive in the second round. */
const selfTrainingShare = 0.995;

/** Fits, lets the fitted detector label the ring, and fits again. */
export function fitWithSelfTraining(
  data: TrainingData,
  candidate: Candidate,
  part: FitPart,
  seed: number,
): FittedSite[] {
  const first = fitCandidate(data, candidate, part, seed, "first");
  const samples = [...part.failing.map(({ sample }) => sample), ...part.clean];
  const scores = scoreFitted(data, first, samples);
  const bounds = candidate.sites.map((site, s) =>
    columnThreshold(
      judgedScores(data, site, scores[s] as ReadonlyMap<number, Float64Array>, part.clean),
      selfTrainingShare,
    ),
  );
  let promoted = 0;
  const failing = part.failing.map((labels): SampleLabels => {
    const raised = [...labels.ring].filter((key) =>
      scores.some((site, s) => (site.get(labels.sample)?.[key] ?? -Infinity) > (bounds[s] as number)),
    );
    promoted += raised.length;
    return {
      sample: labels.sample,
      positive: [...labels.positive, ...raised].sort((a, b) => a - b),
      ring: new Set([...labels.ring].filter((key) => !raised.includes(key))),
    };
  });
  return promoted === 0 ? first : fitCandidate(data, candidate, { ...part, failing }, seed, "second");
}

export interface Calibration {
  readonly detection: readonly DetectionSite[];
  readonly samples: number;
  /** k of the conformal rule after the bound on altered predictions was met, and the false-flag rate it stands for. */
  readonly rank: number;
  readonly flagged: number;
  readonly altered: number;
}

/**
 * Thresholds on the calibration samples. The rank is lowered until the share of altered predictions among them is
 * within `maxAltered`; at rank 1 nothing of them is flagged.
 */
export async function calibrate(
  data: TrainingData,
  fitted: readonly FittedSite[],
  calibration: readonly number[],
  repairs: Repairs,
  options: {
    readonly alpha: number;
    readonly maxAltered: number;
    readonly columnShare: number;
    readonly reference: ReferenceKind;
  },
): Promise<Calibration> {
  const scores = scoreFitted(data, fitted, calibration);
  const judged = fitted.map(({ site }, s) =>
    judgedScores(data, site, scores[s] as ReadonlyMap<number, Float64Array>, calibration),
  );
  for (let rank = Math.max(1, gateRank(calibration.length, options.alpha)); ; rank--) {
    const gates = gateThresholds(judged, rank);
    const detection = fitted.map((site, s) => {
      const gate = Math.fround(gates[s] as number);
      const column = Math.fround(columnThreshold(judged[s] as (typeof judged)[0], options.columnShare));
      return { fitted: site, gate, column: Math.min(gate, column) };
    });
    const repair = calibration.map((sample) => ({
      sample,
      columns: flagsOf(data, detection, scores, sample),
    }));
    const predictions = await repairs.predictions(options.reference, repair);
    const flagged = repair.filter(({ columns }) => columns.length > 0).length;
    const altered = repair.filter(({ sample }, i) => predictions[i] !== data.answers[sample]).length;
    if (altered <= options.maxAltered * calibration.length || rank === 1) {
      return { detection, samples: calibration.length, rank, flagged, altered };
    }
  }
}

/** Columns that the detector flags in a sample, over all its sites. */
export function flagsOf(
  data: TrainingData,
  detection: readonly DetectionSite[],
  scores: readonly ReadonlyMap<number, Float64Array>[],
  sample: number,
): number[] {
  const flagged = detection.flatMap(({ fitted, gate, column }, s) => {
    const own = siteColumns(data, fitted.site).samples[sample];
    const logits = scores[s]?.get(sample);
    return own && logits ? flaggedAt(logits, own, { gate, column }, data.layout.firstKey) : [];
  });
  return [...new Set(flagged)].sort((a, b) => a - b);
}
