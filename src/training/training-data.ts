/** Everything that is known about the samples of a debug set before the first fit. */
import type { KeyLayout } from "../tasks/task.ts";
import type { SiteColumns } from "./columns.ts";
import type { DebugSample } from "./debug-set.ts";
import type { SampleLabels } from "./labels.ts";

export interface TrainingData {
  readonly samples: readonly DebugSample[];
  readonly layout: KeyLayout;
  /** Collected sites, in order. */
  readonly sites: readonly SiteColumns[];
  /** Unpatched prediction of every sample. */
  readonly answers: readonly number[];
  /** Indices of the clean samples. */
  readonly clean: readonly number[];
  /** Indices of the failing samples that the model does answer wrongly. */
  readonly failing: readonly number[];
  /** Labels of those failing samples whose anomalous columns are known or were found. */
  readonly labels: ReadonlyMap<number, SampleLabels>;
}

/** Logits of one site by sample. */
export type SampleScores = ReadonlyMap<number, Float64Array>;

/** What was collected at a site. */
export function siteColumns(data: Pick<TrainingData, "sites">, site: number): SiteColumns {
  const found = data.sites.find((columns) => columns.site === site);
  if (!found) throw new RangeError(`site ${site} was not collected`);
  return found;
}
