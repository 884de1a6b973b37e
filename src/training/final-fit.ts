/** The detector that is shipped: fitted on all failing samples, calibrated on clean samples it never saw. */
import { columnThreshold, gateRank, gateThresholds } from "./calibrate.ts";
import { judgedScores, scoreFitted, type FitPart } from "./candidate.ts";
import type { DetectionSite, ReferenceKind } from "./detector-tensors.ts";
import type { FittedSite } from "./fit.ts";
import { flaggedOver } from "./flags.ts";
import { usableLabels } from "./labels.ts";
import { Random } from "./random.ts";
import type { Repairs } from "./repairs.ts";
import { baseGroups } from "./split.ts";
import type { SampleScores, TrainingData } from "./training-data.ts";

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
  const groups = new Random(seed, "calibration").shuffled(baseGroups(data.samples));
  const isPaired = (group: readonly number[]): boolean => group.some((sample) => failing.has(sample));
  const wanted = Math.floor(data.clean.length * calibrationShare);
  const calibration = new Set<number>();
  const held = new Set<number>();
  for (const group of [...groups.filter((each) => !isPaired(each)), ...groups.filter(isPaired)]) {
    if (calibration.size >= wanted) break;
    for (const sample of group) {
      held.add(sample);
      if (data.samples[sample]?.set === "clean") calibration.add(sample);
    }
  }
  const free = (sample: number): boolean => !held.has(sample);
  return {
    fit: { failing: usableLabels(data, data.failing.filter(free)), clean: data.clean.filter(free) },
    calibration: [...calibration].sort((a, b) => a - b),
  };
}

export interface Calibration {
  readonly detection: readonly DetectionSite[];
  readonly samples: number;
  /** k of the conformal rule after the bound on altered predictions was met. */
  readonly rank: number;
  readonly flagged: number;
  readonly altered: number;
}

export interface CalibrationOptions {
  readonly alpha: number;
  readonly maxAltered: number;
  readonly columnShare: number;
  /** Per site, how far the gate is raised above its conformal place. */
  readonly gateRaise: readonly number[];
  readonly reference: ReferenceKind;
}

/**
 * Thresholds on the calibration samples. The rank is lowered until a new clean prediction changes with probability
 * `maxAltered` at most: (altered + 1) / (n + 1) bounds it, because fewer flags alter fewer predictions (conformal risk
 * control: Angelopoulos et al., 2024). At rank 1 none of the samples is flagged.
 */
export async function calibrate(
  data: TrainingData,
  fitted: readonly FittedSite[],
  calibration: readonly number[],
  repairs: Repairs,
  options: CalibrationOptions,
): Promise<Calibration> {
  const sites = fitted.map(({ site }) => site);
  const scores = scoreFitted(data, fitted, calibration);
  const judged = sites.map((site, s) => judgedScores(data, site, scores[s] as SampleScores, calibration));
  for (let rank = Math.max(1, gateRank(calibration.length, options.alpha)); ; rank--) {
    const gates = gateThresholds(judged, rank);
    const detection = fitted.map((site, s) => {
      const gate = Math.fround((gates[s] as number) + (options.gateRaise[s] ?? 0));
      const column = Math.fround(columnThreshold(judged[s] as (typeof judged)[0], options.columnShare));
      return { fitted: site, gate, column: Math.min(gate, column) };
    });
    const repair = calibration.map((sample) => ({
      sample,
      columns: flaggedOver(data, sites, detection, scores, sample),
    }));
    const predictions = await repairs.predictions(options.reference, repair);
    const flagged = repair.filter(({ columns }) => columns.length > 0).length;
    const altered = repair.filter(({ sample }, i) => predictions[i] !== data.answers[sample]).length;
    if (altered + 1 <= options.maxAltered * (calibration.length + 1) || rank === 1) {
      return { detection, samples: calibration.length, rank, flagged, altered };
    }
  }
}
