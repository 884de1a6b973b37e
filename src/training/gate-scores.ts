/** How strongly a detector reacts to each sample: what its gate compares with the threshold. */
import type { Bundle } from "../detector/bundle.ts";
import { scorerOf, ScoringSession } from "../detector/score.ts";
import { isVisible, type SiteReport } from "../shared/site-report.ts";
import type { ModelRuns } from "./model-runs.ts";

/** The scores of one detection site. */
export interface SiteScores {
  readonly site: number;
  /** τ_hi and τ_lo, on the logit. */
  readonly gate: number;
  readonly column: number;
  /** Highest logit of a column that may be flagged, per sample in the order of the set; null where there is none. */
  readonly scores: readonly (number | null)[];
}

/**
 * Scores every sample of the set; nothing is patched meanwhile.
 * @param scoreModel the bytes of `hotfix/score-model.ts`
 */
export async function gateScores(
  runs: ModelRuns,
  { tensors, metadata }: Pick<Bundle, "tensors" | "metadata">,
  scoreModel: Uint8Array,
  progress?: (done: number, all: number) => void,
): Promise<SiteScores[]> {
  const scorer = scorerOf(tensors);
  const { detections } = scorer;
  if (detections.length === 0) return [];
  const scores = detections.map((): (number | null)[] => runs.store.samples.map(() => null));
  const scoring = await ScoringSession.create(scoreModel);
  try {
    await runs.forEachBatch(
      runs.store.samples.map((_, sample) => ({ sample, mode: "observe" as const })),
      { detector: null, report: detections.map(({ site }) => site), ...(progress && { progress }) },
      async ({ indices, result }) => {
        for (const [s, detection] of detections.entries()) {
          const report = result.reports?.find(({ site }) => site === detection.site);
          if (report === undefined || report.keys === 0) continue;
          const all = await scoring.logits(scorer, detection, report);
          indices.forEach(
            (index, row) => (scores[s]![index] = highest(all, report, row, detection.firstKey)),
          );
        }
      },
    );
  } finally {
    await scoring.release();
  }
  return detections.map(({ site, gate }, s) => ({
    site,
    gate,
    column: metadata.thresholds.find((each) => each.site === site)?.column ?? gate,
    scores: scores[s]!,
  }));
}

/** Positions before `firstKey` are left out of every window. */
function highest(all: Float32Array, report: SiteReport, row: number, firstKey: number): number | null {
  const length = report.keys / report.windows;
  let most: number | null = null;
  for (let key = 0; key < report.keys; key++) {
    const at = row * report.keys + key;
    if (key % length < firstKey || !isVisible(report, at)) continue;
    most = Math.max(most ?? -Infinity, all[at]!);
  }
  return most;
}
