/** A form a detector can take, and how one is fitted to a part of the samples. */
import { columnThreshold, type CandidateScores } from "./calibrate.ts";
import { standardisation, type FeatureSet } from "./columns.ts";
import { fitSite, scoreSamples, type FittedSite } from "./fit.ts";
import { judgedKeys } from "./flags.ts";
import { labelColumns, type SampleLabels } from "./labels.ts";
import { Random } from "./random.ts";
import { siteColumns, type SampleScores, type TrainingData } from "./training-data.ts";

export interface Candidate {
  readonly sites: readonly number[];
  readonly kernel: 1 | 3;
  readonly features: FeatureSet;
  /** Whether ring columns that a first fit scores high are positive in a second one. */
  readonly selfTraining: boolean;
}

/** The samples a fit may see. */
export interface FitPart {
  readonly failing: readonly SampleLabels[];
  readonly clean: readonly number[];
}

/** Columns of the ring that score above this quantile of clean columns become positive in the second round. */
const selfTrainingShare = 0.995;

/** What the random numbers of a fit start from, and how long it takes. */
export interface FitSettings {
  readonly seed: number;
  /** Optimisation steps. */
  readonly steps: number;
}

/** @param stream names the random numbers of the fit: the same name gives the same detector */
export function fitCandidate(
  data: TrainingData,
  candidate: Candidate,
  part: FitPart,
  settings: FitSettings,
  stream: string,
): FittedSite[] {
  const first = fitOnce(data, candidate, part, settings, `${stream}/first`);
  if (!candidate.selfTraining) return first;
  const failing = promoteRing(data, first, part);
  return failing === null
    ? first
    : fitOnce(data, candidate, { ...part, failing }, settings, `${stream}/second`);
}

function fitOnce(
  data: TrainingData,
  { sites, kernel, features }: Candidate,
  part: FitPart,
  settings: FitSettings,
  stream: string,
): FittedSite[] {
  return sites.map((site) => {
    const columns = siteColumns(data, site);
    return fitSite(columns, labelColumns(columns, part.failing, part.clean, data.layout.firstKey), {
      features,
      kernel,
      standardisation: standardisation(columns, part.clean),
      steps: settings.steps,
      random: new Random(settings.seed, `fit/${stream}/${site}`),
    });
  });
}

/** Labels with the ring columns that score like anomalous ones made positive; null when there are none. */
function promoteRing(
  data: TrainingData,
  fitted: readonly FittedSite[],
  { failing, clean }: FitPart,
): SampleLabels[] | null {
  const scores = scoreFitted(data, fitted, [...failing.map(({ sample }) => sample), ...clean]);
  const bounds = fitted.map(({ site }, s) =>
    columnThreshold(judgedScores(data, site, scores[s] as SampleScores, clean), selfTrainingShare),
  );
  let promoted = 0;
  const labels = failing.map(({ sample, positive, ring }): SampleLabels => {
    const raised = [...ring].filter((key) =>
      scores.some((site, s) => (site.get(sample)?.[key] ?? -Infinity) > (bounds[s] as number)),
    );
    promoted += raised.length;
    return {
      sample,
      positive: [...positive, ...raised].sort((a, b) => a - b),
      ring: new Set([...ring].filter((key) => !raised.includes(key))),
    };
  });
  return promoted === 0 ? null : labels;
}

/** Logits per site and sample; samples that were not asked for are absent. */
export function scoreFitted(
  data: TrainingData,
  fitted: readonly FittedSite[],
  samples: readonly number[],
): SampleScores[] {
  return fitted.map((site) => {
    const scores = scoreSamples(site, siteColumns(data, site.site), samples);
    return new Map(samples.map((sample, i) => [sample, scores[i] as Float64Array]));
  });
}

/** Scores of the columns that may be flagged, per sample, for calibration. */
export function judgedScores(
  data: TrainingData,
  site: number,
  scores: SampleScores,
  samples: readonly number[],
): CandidateScores {
  const columns = siteColumns(data, site);
  return samples.map((sample) => {
    const logits = scores.get(sample);
    const own = columns.samples[sample];
    return logits && own ? judgedKeys(own, data.layout.firstKey).map((key) => logits[key] as number) : [];
  });
}
