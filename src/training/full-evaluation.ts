/** Everything that `evaluate` measures in one run: the detector's figures, fairness, alternatives and cost. */
import type { Bundle } from "../detector/bundle.ts";
import type { ProtectedAttribute } from "../tasks/task.ts";
import { attackBaselines, type Baseline } from "./baselines.ts";
import { judge, type Evaluation } from "./evaluate.ts";
import type { Judged } from "./judged.ts";
import { latency, type Latency } from "./latency.ts";
import type { ModelRuns } from "./model-runs.ts";
import { tableFairness, type TableFairness } from "./table-fairness.ts";

export interface FullEvaluation extends Evaluation {
  /** One sample at a time, unpatched against patched, for samples in which nothing is flagged and for others. */
  readonly latency: { readonly unflagged: Latency; readonly flagged: Latency };
  /** By protected attribute; none where the model names none. */
  readonly fairness: readonly TableFairness[];
  /** Present when asked for. */
  readonly baselines?: readonly Baseline[];
}

export interface FullEvaluationOptions {
  /** Published on the engine, or null. */
  readonly bundle: Pick<Bundle, "id" | "tensors"> | null;
  readonly target?: number;
  readonly baselines: boolean;
  readonly attributes: readonly ProtectedAttribute[];
  /** Index of the label that is good for the person concerned. */
  readonly favourable: number | null;
  readonly progress?: (stage: string, done: number, all: number) => void;
}

const falseFlagRate = 0.02;

/** The figures and the answers they were counted from. */
export interface FullJudgement {
  readonly evaluation: FullEvaluation;
  readonly judged: readonly Judged[];
}

/** @throws AtPatchError ATPATCH_BAD_INPUT when the target is no class */
export async function fullEvaluation(
  runs: ModelRuns,
  options: FullEvaluationOptions,
): Promise<FullJudgement> {
  const { bundle, progress = () => {}, favourable } = options;
  const detector = bundle?.id ?? null;
  const { evaluation, judged } = await judge(runs, {
    detector,
    ...(options.target !== undefined && { target: options.target }),
    progress: (done, all) => progress("evaluating", done, all),
  });
  const fairness =
    favourable === null
      ? []
      : await tableFairness(runs, {
          attributes: options.attributes,
          favourable,
          detector,
          baselines: options.baselines,
          progress: (done, all) => progress("comparing people", done, all),
        });
  progress("timing", 0, 0);
  const timed = (flagged: boolean): Promise<Latency> =>
    latency(
      runs,
      judged.filter(({ columns }) => columns.length > 0 === flagged).map(({ sample }) => sample),
      detector,
    );
  const full: FullEvaluation = {
    ...evaluation,
    latency: { unflagged: await timed(false), flagged: await timed(true) },
    fairness,
    ...(options.baselines && {
      baselines: await attackBaselines(runs, judged, {
        tensors: bundle?.tensors ?? null,
        target: evaluation.target?.index ?? null,
        seed: 0,
        falseFlagRate,
        progress: (what) => progress(`alternative: ${what}`, 0, 0),
      }),
    }),
  };
  return { evaluation: full, judged };
}
