/** A form a detector can take, and how one is fitted to a part of the samples. */
import type { FeatureSet, SiteColumns } from "./columns.ts";
import { standardisation } from "./columns.ts";
import { fitSite, scoreSamples, type FittedSite } from "./fit.ts";
import { judgedKeys } from "./flags.ts";
import { labelColumns, type SampleLabels } from "./labels.ts";
import type { CandidateScores } from "./calibrate.ts";
import { Random } from "./random.ts";
import type { TrainingData } from "./training-data.ts";

export interface Candidate {
  readonly sites: readonly number[];
  readonly kernel: 1 | 3;
  readonly features: FeatureSet;
}

/** The samples a fit may see. */
export interface FitPart {
  readonly failing: readonly SampleLabels[];
  readonly clean: readonly number[];
}

/** @param stream names the random numbers of the fit: the same name gives the same detector */
export function fitCandidate(
  data: TrainingData,
  { sites, kernel, features }: Candidate,
  part: FitPart,
  seed: number,
  stream: string,
): FittedSite[] {
  return sites.map((site) => {
    const columns = siteColumns(data, site);
    return fitSite(columns, labelColumns(columns, part.failing, part.clean, data.layout.firstKey), {
      features,
      kernel,
      standardisation: standardisation(columns, part.clean),
      random: new Random(seed, `fit/${stream}/${site}`),
    });
  });
}

/** Logits per site and sample, [site][sample][key]; samples that were not asked for are absent. */
export function scoreFitted(
  data: TrainingData,
  fitted: readonly FittedSite[],
  samples: readonly number[],
): Map<number, Float64Array>[] {
  return fitted.map((site) => {
    const scores = scoreSamples(site, siteColumns(data, site.site), samples);
    return new Map(samples.map((sample, i) => [sample, scores[i] as Float64Array]));
  });
}

/** Scores of the columns that may be flagged, per sample, for calibration. */
export function judgedScores(
  data: TrainingData,
  site: number,
  scores: ReadonlyMap<number, Float64Array>,
  samples: readonly number[],
): CandidateScores {
  const columns = siteColumns(data, site);
  return samples.map((sample) => {
    const logits = scores.get(sample);
    const own = columns.samples[sample];
    return logits && own ? judgedKeys(own, data.layout.firstKey).map((key) => logits[key] as number) : [];
  });
}

export function siteColumns(data: TrainingData, site: number): SiteColumns {
  const found = data.sites.find((columns) => columns.site === site);
  if (!found) throw new RangeError(`site ${site} was not collected`);
  return found;
}
