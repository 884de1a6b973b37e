/**
 * Cross-validated repair of a candidate detector: fitted on one half of the base samples, calibrated on the clean
 * samples of the other half and judged by what it does to them and to the failing samples there.
 */
import { fitCandidate, judgedScores, scoreFitted, siteColumns, type Candidate } from "./candidate.ts";
import { columnThreshold, gateRank, gateThresholds } from "./calibrate.ts";
import type { ReferenceKind } from "./detector-tensors.ts";
import { flaggedAt } from "./flags.ts";
import type { SampleLabels } from "./labels.ts";
import type { Repair, Repairs } from "./repairs.ts";
import type { TrainingData } from "./training-data.ts";

/** Held-out counts over all folds. */
export interface HeldOut {
  readonly failing: number;
  /** Failing samples whose prediction left the wrong answer. */
  readonly repaired: number;
  /** Failing samples whose prediction became the true class. */
  readonly correct: number;
  readonly clean: number;
  readonly flagged: number;
  /** Clean samples whose prediction changed. */
  readonly altered: number;
}

/** A candidate's held-out logits; thresholds and reference can still be varied without another fit. */
export interface Validation {
  readonly candidate: Candidate;
  readonly folds: readonly {
    readonly failing: readonly number[];
    readonly clean: readonly number[];
    /** [site][sample] → logits */
    readonly scores: readonly ReadonlyMap<number, Float64Array>[];
  }[];
}

/** @param foldOf fold of every sample */
export function validate(
  data: TrainingData,
  candidate: Candidate,
  foldOf: Int32Array,
  seed: number,
): Validation {
  const folds = [...new Set(foldOf)].sort((a, b) => a - b);
  return {
    candidate,
    folds: folds.flatMap((fold) => {
      const outside = (sample: number): boolean => foldOf[sample] !== fold;
      const fitFailing = data.failing
        .filter(outside)
        .map((sample) => data.labels.get(sample))
        .filter((labels): labels is SampleLabels => labels !== undefined && labels.positive.length > 0);
      const [failing, clean] = [data.failing, data.clean].map((all) =>
        all.filter((sample) => !outside(sample)),
      );
      if (fitFailing.length === 0 || !failing || !clean) return [];
      const part = { failing: fitFailing, clean: data.clean.filter(outside) };
      const fitted = fitCandidate(data, candidate, part, seed, `fold${fold}`);
      return [{ failing, clean, scores: scoreFitted(data, fitted, [...failing, ...clean]) }];
    }),
  };
}

/** @param columnShare quantile of clean column scores that τ_lo takes */
export async function judge(
  data: TrainingData,
  { candidate, folds }: Validation,
  repairs: Repairs,
  options: { readonly alpha: number; readonly columnShare: number; readonly reference: ReferenceKind },
): Promise<HeldOut> {
  const failing: Repair[] = [];
  const clean: Repair[] = [];
  for (const fold of folds) {
    const judged = candidate.sites.map((site, s) =>
      judgedScores(data, site, fold.scores[s] as ReadonlyMap<number, Float64Array>, fold.clean),
    );
    const gates = gateThresholds(judged, Math.max(1, gateRank(fold.clean.length, options.alpha)));
    const thresholds = judged.map((scores, s) => {
      const gate = gates[s] as number;
      return { gate, column: Math.min(gate, columnThreshold(scores, options.columnShare)) };
    });
    const columnsOf = (sample: number): number[] => {
      const flagged = candidate.sites.flatMap((site, s) => {
        const own = siteColumns(data, site).samples[sample];
        const logits = fold.scores[s]?.get(sample);
        return own && logits
          ? flaggedAt(logits, own, thresholds[s] as (typeof thresholds)[0], data.layout.firstKey)
          : [];
      });
      return [...new Set(flagged)].sort((a, b) => a - b);
    };
    for (const sample of fold.failing) failing.push({ sample, columns: columnsOf(sample) });
    for (const sample of fold.clean) clean.push({ sample, columns: columnsOf(sample) });
  }
  const predictions = await repairs.predictions(options.reference, [...failing, ...clean]);
  const [ofFailing, ofClean] = [predictions.slice(0, failing.length), predictions.slice(failing.length)];
  const count = (all: readonly Repair[], holds: (repair: Repair, i: number) => boolean): number =>
    all.filter(holds).length;
  return {
    failing: failing.length,
    repaired: count(failing, ({ sample }, i) => ofFailing[i] !== data.answers[sample]),
    correct: count(failing, ({ sample }, i) => ofFailing[i] === data.samples[sample]?.label),
    clean: clean.length,
    flagged: count(clean, ({ columns }) => columns.length > 0),
    altered: count(clean, ({ sample }, i) => ofClean[i] !== data.answers[sample]),
  };
}
