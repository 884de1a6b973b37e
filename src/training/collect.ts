/** Collects features and values of every key column at the chosen sites, and the unpatched logits, in one pass. */
import type { RunResult } from "../engine/engine.ts";
import { AtPatchError } from "../shared/errors.ts";
import { columnFeatures, visibleKeys, type SiteReport } from "../shared/site-report.ts";
import type { SampleColumns, SiteColumns } from "./columns.ts";
import type { ModelRuns } from "./model-runs.ts";

export interface Collected {
  /** Unpatched logits per sample. */
  readonly logits: readonly Float32Array[];
  readonly sites: readonly SiteColumns[];
}

/**
 * @param sites indices of the sites to collect
 * @throws AtPatchError ATPATCH_TRAINING for windowed attention, whose columns are not those of the whole sample
 */
export async function collect(
  runs: ModelRuns,
  sites: readonly number[],
  progress?: (done: number, all: number) => void,
): Promise<Collected> {
  const logits: Float32Array[] = [];
  const collected = sites.map((site) => ({ site, width: 0, samples: [] as SampleColumns[] }));
  const asks = runs.store.samples.map((_, sample) => ({ sample, mode: "observe" as const }));
  await runs.forEachBatch(
    asks,
    { detector: null, report: sites, ...(progress && { progress }) },
    ({ indices, rows, result }) => {
      const answered = runs.task.logits(result.outputs, rows);
      indices.forEach((index, row) => (logits[index] = answered[row] as Float32Array));
      for (const entry of collected) {
        const report = reportOf(result, entry.site);
        entry.width = report.width;
        indices.forEach((index, row) => (entry.samples[index] = sampleColumns(report, row)));
      }
    },
  );
  return { logits, sites: collected };
}

/** What a run reports of a site. @throws AtPatchError ATPATCH_TRAINING when it attends inside windows */
export function reportOf({ reports }: RunResult, site: number): SiteReport {
  const report = reports?.find((each) => each.site === site);
  if (report === undefined)
    throw new AtPatchError("ATPATCH_INTERNAL", `the run does not report site ${site}`);
  if (report.windows !== 1) {
    throw new AtPatchError(
      "ATPATCH_TRAINING",
      `site ${site} attends inside windows: a detector for windowed attention cannot be trained yet`,
    );
  }
  return report;
}

/** One sample of a batch, cut after its last visible key. */
function sampleColumns(report: SiteReport, row: number): SampleColumns {
  const first = row * report.keys;
  const seen = visibleKeys(report, row);
  const keys = seen.lastIndexOf(1) + 1;
  const features = new Float32Array(keys * report.width);
  for (let key = 0; key < keys; key++) {
    features.set(columnFeatures(report, first + key), key * report.width);
  }
  return { keys, visible: seen.subarray(0, keys), features };
}
