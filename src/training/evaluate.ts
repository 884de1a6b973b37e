/** What a detector does to a labelled test set: the figures of the `evaluate` verb. */
import { AtPatchError } from "../shared/errors.ts";
import type { Mode } from "../shared/patched-model.ts";
import { predicted, type Answer, type ModelRuns } from "./model-runs.ts";
import { rateOf, type Rate } from "./wilson.ts";

export interface Evaluation {
  /** Fingerprint of the model. */
  readonly model: string;
  readonly detector: string | null;
  /** The answer an attack wants: given, or the most frequent wrong one of the unpatched model; null without failures. */
  readonly target: { readonly index: number; readonly label: string; readonly given: boolean } | null;
  readonly clean: {
    readonly n: number;
    readonly accuracy: Rate;
    readonly accuracy_unpatched: Rate;
    readonly flag_rate: Rate;
    /** Clean samples whose prediction the patch changed. */
    readonly altered: Rate;
  };
  readonly failing: {
    readonly n: number;
    /** Samples answered with the target. */
    readonly attack_success: Rate;
    readonly attack_success_unpatched: Rate;
    /** Samples answered with their true class. */
    readonly robust_accuracy: Rate;
    readonly robust_accuracy_unpatched: Rate;
    readonly flag_rate: Rate;
  };
}

export interface EvaluateOptions {
  /** A published detector, or null. */
  readonly detector: string | null;
  /** Class index of the target. */
  readonly target?: number;
  readonly progress?: (done: number, all: number) => void;
}

/** A test sample with both predictions. */
interface Judged {
  readonly set: "clean" | "failing";
  readonly label: number;
  readonly unpatched: number;
  readonly patched: number;
  readonly triggered: boolean;
}

/** Runs every sample of the store with the hot-fix off and enforced. */
export async function evaluate(runs: ModelRuns, options: EvaluateOptions): Promise<Evaluation> {
  const { samples } = runs.store;
  const pass = (mode: Mode, done: number): Promise<Answer[]> =>
    runs.answers(
      samples.map((_, sample) => ({ sample, mode })),
      {
        detector: options.detector,
        progress: (n) => options.progress?.(done + n, 2 * samples.length),
      },
    );
  const unpatched = await pass("off", 0);
  const patched = await pass("enforce", samples.length);
  const judged = samples.map(({ set, label }, i): Judged => {
    const [before, after] = [unpatched[i] as Answer, patched[i] as Answer];
    return {
      set,
      label,
      unpatched: predicted(before.logits),
      patched: predicted(after.logits),
      triggered: after.triggered,
    };
  });
  const clean = judged.filter(({ set }) => set === "clean");
  const failing = judged.filter(({ set }) => set === "failing");
  const target = options.target ?? mostFrequentWrong(failing);
  const { labels } = runs.task;
  if (options.target !== undefined && labels.length > 0 && options.target >= labels.length) {
    throw new AtPatchError(
      "ATPATCH_BAD_INPUT",
      `target: ${options.target} is no class, the model has ${labels.length}`,
    );
  }
  return {
    model: runs.engine.description.fingerprint,
    detector: options.detector,
    target:
      target === null
        ? null
        : { index: target, label: labels[target] ?? String(target), given: options.target !== undefined },
    clean: {
      n: clean.length,
      accuracy: rateOf(clean, ({ patched: answer, label }) => answer === label),
      accuracy_unpatched: rateOf(clean, ({ unpatched: answer, label }) => answer === label),
      flag_rate: rateOf(clean, ({ triggered }) => triggered),
      altered: rateOf(clean, ({ patched: after, unpatched: before }) => after !== before),
    },
    failing: {
      n: failing.length,
      attack_success: rateOf(failing, ({ patched: answer }) => answer === target),
      attack_success_unpatched: rateOf(failing, ({ unpatched: answer }) => answer === target),
      robust_accuracy: rateOf(failing, ({ patched: answer, label }) => answer === label),
      robust_accuracy_unpatched: rateOf(failing, ({ unpatched: answer, label }) => answer === label),
      flag_rate: rateOf(failing, ({ triggered }) => triggered),
    },
  };
}

/** The most frequent wrong unpatched answer; the smaller class of equals, null when nothing is answered wrongly. */
function mostFrequentWrong(failing: readonly Judged[]): number | null {
  const counts = new Map<number, number>();
  for (const { unpatched, label } of failing) {
    if (unpatched !== label) counts.set(unpatched, (counts.get(unpatched) ?? 0) + 1);
  }
  const ordered = [...counts].sort(([a, m], [b, n]) => n - m || a - b);
  return ordered[0]?.[0] ?? null;
}
