/**
 * Cross-validated repair of a candidate detector: fitted on one half of the base samples, calibrated on the clean
 * samples of the other half and judged by what it does to them and to the failing samples there.
 */
import { columnThreshold, gateRank, gateThresholds } from "./calibrate.ts";
import { fitCandidate, judgedScores, scoreFitted, type Candidate, type FitSettings } from "./candidate.ts";
import type { ReferenceKind } from "./detector-tensors.ts";
import { flaggedOver, judgedKeys } from "./flags.ts";
import { usableLabels } from "./labels.ts";
import { median } from "./median.ts";
import type { Random } from "./random.ts";
import type { Repair, Repairs } from "./repairs.ts";
import { siteColumns, type SampleScores, type TrainingData } from "./training-data.ts";

/** Held-out counts over all folds. */
export interface HeldOut {
  readonly failing: number;
  /** Failing samples whose prediction left the wrong answer. */
  readonly repaired: number;
  /** Failing samples whose prediction became the true class. */
  readonly correct: number;
  /** Those whose prediction did not. */
  readonly wrong: readonly number[];
  /** Mean probability that the wrong answer keeps over the failing samples: what is left before it shows in the counts. */
  readonly residue: number;
  readonly clean: number;
  readonly flagged: number;
  /** Clean samples whose prediction changed. */
  readonly altered: number;
}

/** The samples that a fit did not see, with what it says of them. */
interface Fold {
  readonly failing: readonly number[];
  readonly clean: readonly number[];
  /** Logits per site. */
  readonly scores: readonly SampleScores[];
}

/** A candidate's held-out logits; thresholds and reference can still be varied without another fit. */
export interface Validation {
  readonly candidate: Candidate;
  readonly folds: readonly Fold[];
}

export interface JudgeOptions {
  readonly alpha: number;
  /** Quantile of clean column scores that τ_lo takes. */
  readonly columnShare: number;
  /** How far the gate moves from its conformal place towards the median failing sample, 0 to 1. */
  readonly headroom: number;
  readonly reference: ReferenceKind;
  /** Repairs equally many other columns instead of the flagged ones: what changing anything at all would do. */
  readonly control?: Random;
}

/** @param foldOf fold of every sample */
export function validate(
  data: TrainingData,
  candidate: Candidate,
  foldOf: Int32Array,
  settings: FitSettings,
): Validation {
  const folds = [...new Set(foldOf)].sort((a, b) => a - b);
  return {
    candidate,
    folds: folds.flatMap((fold) => {
      const inside = (sample: number): boolean => foldOf[sample] === fold;
      const outside = (sample: number): boolean => !inside(sample);
      const part = {
        failing: usableLabels(data, data.failing.filter(outside)),
        clean: data.clean.filter(outside),
      };
      if (part.failing.length === 0) return [];
      const [failing, clean] = [data.failing.filter(inside), data.clean.filter(inside)];
      const fitted = fitCandidate(data, candidate, part, settings, `fold${fold}`);
      return [{ failing, clean, scores: scoreFitted(data, fitted, [...failing, ...clean]) }];
    }),
  };
}

export async function judge(
  data: TrainingData,
  { candidate, folds }: Validation,
  repairs: Repairs,
  options: JudgeOptions,
): Promise<HeldOut> {
  const failing: Repair[] = [];
  const clean: Repair[] = [];
  for (const fold of folds) {
    const gates = foldGates(data, candidate, fold, options.alpha);
    const thresholds = gates.map(({ gate, distance, scores }) => {
      const raised = gate + options.headroom * distance;
      return { gate: raised, column: Math.min(raised, columnThreshold(scores, options.columnShare)) };
    });
    const repair = (sample: number): Repair => {
      const flagged = flaggedOver(data, candidate.sites, thresholds, fold.scores, sample);
      return {
        sample,
        columns: options.control ? others(data, candidate, sample, flagged, options.control) : flagged,
      };
    };
    failing.push(...fold.failing.map(repair));
    clean.push(...fold.clean.map(repair));
  }
  const outcomes = await repairs.outcomes(options.reference, [...failing, ...clean]);
  const answers = outcomes.map(({ answer }) => answer);
  const [ofFailing, ofClean] = [answers.slice(0, failing.length), answers.slice(failing.length)];
  const left = outcomes.slice(0, failing.length).reduce((sum, { residue }) => sum + residue, 0);
  const wrong = failing.flatMap(({ sample }, i) =>
    ofFailing[i] === data.samples[sample]?.label ? [] : [sample],
  );
  return {
    failing: failing.length,
    repaired: failing.filter(({ sample }, i) => ofFailing[i] !== data.answers[sample]).length,
    correct: failing.length - wrong.length,
    wrong,
    residue: left / Math.max(1, failing.length),
    clean: clean.length,
    flagged: clean.filter(({ columns }) => columns.length > 0).length,
    altered: clean.filter(({ sample }, i) => ofClean[i] !== data.answers[sample]).length,
  };
}

/** As many random columns as are flagged, none of them flagged; fewer when there are not enough. */
function others(
  data: TrainingData,
  { sites }: Candidate,
  sample: number,
  flagged: readonly number[],
  random: Random,
): number[] {
  const own = siteColumns(data, sites[0] as number).samples[sample];
  const free = own ? judgedKeys(own, data.layout.firstKey).filter((key) => !flagged.includes(key)) : [];
  return random
    .shuffled(free)
    .slice(0, flagged.length)
    .sort((a, b) => a - b);
}

/** Per site, how far the median failing sample lies above the conformal gate, averaged over the folds. */
export function meanGateDistance(
  data: TrainingData,
  { candidate, folds }: Validation,
  alpha: number,
): number[] {
  const distances = folds.map((fold) =>
    foldGates(data, candidate, fold, alpha).map(({ distance }) => distance),
  );
  return candidate.sites.map(
    (_, s) => distances.reduce((sum, fold) => sum + (fold[s] as number), 0) / Math.max(1, distances.length),
  );
}

/** Per site: conformal gate, distance from it up to the median failing sample (0 when that lies below), clean scores. */
function foldGates(
  data: TrainingData,
  { sites }: Candidate,
  { failing, clean, scores }: Fold,
  alpha: number,
): { gate: number; distance: number; scores: ReturnType<typeof judgedScores> }[] {
  const judged = sites.map((site, s) => judgedScores(data, site, scores[s] as SampleScores, clean));
  const gates = gateThresholds(judged, Math.max(1, gateRank(clean.length, alpha)));
  return sites.map((site, s) => {
    const gate = gates[s] as number;
    const maxima = judgedScores(data, site, scores[s] as SampleScores, failing).map((columns) =>
      columns.reduce((a, b) => Math.max(a, b), -Infinity),
    );
    const distance = Math.max(0, (median(maxima) ?? gate) - gate);
    return { gate, distance, scores: judged[s] as ReturnType<typeof judgedScores> };
  });
}
