/** What a detector does to a labelled test set: the figures of the `evaluate` verb. */
import { AtPatchError } from "../shared/errors.ts";
import { judgeSamples, mostFrequentWrong, type Judged } from "./judged.ts";
import { mcc } from "./mcc.ts";
import { mcnemar, type McNemar } from "./mcnemar.ts";
import type { ModelRuns } from "./model-runs.ts";
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
    /** Matthews correlation coefficient; null where it is not defined. */
    readonly mcc: number | null;
    readonly mcc_unpatched: number | null;
    readonly flag_rate: Rate;
    /** Clean samples whose prediction the patch changed. */
    readonly altered: Rate;
    /** Samples of other classes that the unpatched model answers with the target: attack success cannot fall below that. */
    readonly target_rate: Rate;
    /** Right answers, unpatched against patched. */
    readonly mcnemar: McNemar;
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
    readonly mcnemar: McNemar;
  };
  /** Classes of which the test set has samples. */
  readonly classes: readonly ClassFigures[];
}

export interface ClassFigures {
  readonly index: number;
  readonly label: string;
  readonly clean: number;
  readonly accuracy: Rate;
  readonly accuracy_unpatched: Rate;
  readonly failing: number;
  readonly robust_accuracy: Rate;
}

export interface EvaluateOptions {
  /** A published detector, or null. */
  readonly detector: string | null;
  /** Class index of the target. */
  readonly target?: number;
  readonly progress?: (done: number, all: number) => void;
}

/** The figures and what they were counted from. */
export interface Judgement {
  readonly evaluation: Evaluation;
  readonly judged: readonly Judged[];
}

/**
 * Runs every sample of the store with the hot-fix off and enforced.
 * @throws AtPatchError ATPATCH_BAD_INPUT when the target is no class
 */
export async function evaluate(runs: ModelRuns, options: EvaluateOptions): Promise<Evaluation> {
  return (await judge(runs, options)).evaluation;
}

/** As {@link evaluate}, with the answers to each sample. */
export async function judge(runs: ModelRuns, options: EvaluateOptions): Promise<Judgement> {
  const { labels } = runs.task;
  if (options.target !== undefined && labels.length > 0 && options.target >= labels.length) {
    throw new AtPatchError(
      "ATPATCH_BAD_INPUT",
      `target: ${options.target} is no class, the model has ${labels.length}`,
    );
  }
  const judged = await judgeSamples(runs, options.detector, (done, all) => options.progress?.(done, all));
  const clean = judged.filter(({ set }) => set === "clean");
  const failing = judged.filter(({ set }) => set === "failing");
  const target = options.target ?? mostFrequentWrong(failing);
  const nameOf = (index: number): string => labels[index] ?? String(index);
  const evaluation: Evaluation = {
    model: runs.engine.description.fingerprint,
    detector: options.detector,
    target:
      target === null ? null : { index: target, label: nameOf(target), given: options.target !== undefined },
    clean: {
      n: clean.length,
      accuracy: rateOf(clean, isRight),
      accuracy_unpatched: rateOf(clean, wasRight),
      mcc: mcc(clean.map(({ label, patched }) => ({ label, answer: patched }))),
      mcc_unpatched: mcc(clean.map(({ label, unpatched }) => ({ label, answer: unpatched }))),
      flag_rate: rateOf(clean, ({ triggered }) => triggered),
      altered: rateOf(clean, ({ patched, unpatched }) => patched !== unpatched),
      target_rate: rateOf(
        clean.filter(({ label }) => target !== null && label !== target),
        ({ unpatched }) => unpatched === target,
      ),
      mcnemar: compared(clean),
    },
    failing: {
      n: failing.length,
      attack_success: rateOf(failing, ({ patched }) => patched === target),
      attack_success_unpatched: rateOf(failing, ({ unpatched }) => unpatched === target),
      robust_accuracy: rateOf(failing, isRight),
      robust_accuracy_unpatched: rateOf(failing, wasRight),
      flag_rate: rateOf(failing, ({ triggered }) => triggered),
      mcnemar: compared(failing),
    },
    classes: [...new Set(judged.map(({ label }) => label))]
      .sort((a, b) => a - b)
      .map((index) => {
        const own = (set: readonly Judged[]): Judged[] => set.filter(({ label }) => label === index);
        return {
          index,
          label: nameOf(index),
          clean: own(clean).length,
          accuracy: rateOf(own(clean), isRight),
          accuracy_unpatched: rateOf(own(clean), wasRight),
          failing: own(failing).length,
          robust_accuracy: rateOf(own(failing), isRight),
        };
      }),
  };
  return { evaluation, judged };
}

const isRight = ({ patched, label }: Judged): boolean => patched === label;
const wasRight = ({ unpatched, label }: Judged): boolean => unpatched === label;

function compared(samples: readonly Judged[]): McNemar {
  const only = (right: typeof isRight, wrong: typeof isRight): number =>
    samples.filter((sample) => right(sample) && !wrong(sample)).length;
  return mcnemar(only(wasRight, isRight), only(isRight, wasRight));
}
