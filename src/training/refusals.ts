/** When training does not go on, and what it says then. */
import { AtPatchError } from "../shared/errors.ts";
import { neededForGate } from "./calibrate.ts";
import type { Choice } from "./choose.ts";
import type { DebugSample } from "./debug-set.ts";
import { verdictBounds, type Verdict } from "./decide.ts";
import type { Gathered } from "./gather.ts";
import { TrainingRefusal } from "./training-refusal.ts";
import { wilson } from "./wilson.ts";

/** Fewest failing samples for two folds that say something. */
const fewestFailing = 8;

/**
 * @param cleanOnly failing samples are not needed
 * @throws AtPatchError ATPATCH_TRAINING when the set has too few samples of a kind
 */
export function checkSizes(samples: readonly DebugSample[], alpha: number, cleanOnly: boolean): void {
  const clean = samples.filter(({ set }) => set === "clean").length;
  const failing = samples.length - clean;
  // Half of the clean samples calibrate the thresholds, in every fold and at the end.
  const needed = 2 * neededForGate(alpha) + 2;
  if (!cleanOnly && failing < fewestFailing) {
    throw new AtPatchError(
      "ATPATCH_TRAINING",
      `the debug set has ${failing} failing samples, at least ${fewestFailing} are needed (better 20 to 100)`,
    );
  }
  if (clean < needed) {
    throw new AtPatchError(
      "ATPATCH_TRAINING",
      `the debug set has ${clean} clean samples: a false-flag rate of ${percentText(alpha)} needs at least ${needed} (better 600); add clean samples or allow a higher rate`,
    );
  }
}

/** What to do with failures that no column carries. */
const elsewhere =
  "Ordinary errors look like this, and so does a trigger without a place (a blended picture, a style of writing): retrain, or take a repair that does not work on attention";

/** @throws AtPatchError ATPATCH_TRAINING when too few failing samples fail, or no columns were found */
export function checkGathered({
  data,
  localization,
}: {
  readonly data: Gathered["data"];
  readonly localization: Pick<Gathered["localization"], "answered_rightly">;
}): void {
  if (data.failing.length < fewestFailing) {
    throw new AtPatchError(
      "ATPATCH_TRAINING",
      `the model answers ${localization.answered_rightly} of the failing samples rightly: ${data.failing.length} wrong answers are left, at least ${fewestFailing} are needed`,
    );
  }
  if (data.labels.size < 2) {
    throw new TrainingRefusal(
      `attention columns do not carry these failures: repairing any window of columns changes the answer of ${data.labels.size} of ${data.failing.length} failing samples. ${elsewhere}`,
      [
        {
          what: "answer changes when some window of columns is repaired",
          rate: wilson(data.labels.size, data.failing.length),
        },
      ],
    );
  }
}

/** Most samples that are named. */
const named = 20;

/** Ids of failing samples that were not answered rightly when held out: failures of another kind, perhaps. */
export function unexplainedIds({ chosen }: Choice, samples: readonly DebugSample[]): string[] {
  return chosen.heldOut.wrong.slice(0, named).map((sample) => samples[sample]?.id ?? "");
}

/** Why no bundle is made, with the evidence. */
export function refusal(
  choice: Choice,
  verdict: Exclude<Verdict, "trigger">,
  samples: readonly DebugSample[],
): TrainingRefusal {
  const {
    chosen: { heldOut },
    control,
  } = choice;
  const what =
    verdict === "partly"
      ? "attention columns carry only a part of these failures"
      : "attention columns do not carry these failures, so they are not trigger-like";
  const of = (count: number): string => `${count} of ${heldOut.failing}`;
  return new TrainingRefusal(
    `${what}: a detector fitted on one half of them changes the answer of ${of(heldOut.repaired)} held-out failing samples, ` +
      `${heldOut.correct} of them to the right one; random columns change ${control.repaired}. That explains ` +
      `${percentText(choice.explained)}: below ${percentText(verdictBounds.refuse)} nothing is shipped, ` +
      `up to ${percentText(verdictBounds.partly)} only when a partial explanation is accepted (--accept-partial). ` +
      (verdict === "partly"
        ? `The set may mix failures of several kinds, so train on one kind at a time; not explained: ${unexplainedIds(choice, samples).join(", ")}${heldOut.wrong.length > named ? ", …" : ""}`
        : elsewhere),
    [
      {
        what: "answer changes when the columns found for the sample are repaired",
        rate: wilson(choice.ceiling, heldOut.failing),
      },
      {
        what: "held out: answer changes when flagged columns are repaired",
        rate: wilson(heldOut.repaired, heldOut.failing),
      },
      { what: "held out: the answer becomes right", rate: wilson(heldOut.correct, heldOut.failing) },
      {
        what: "the same with random columns in place of flagged ones",
        rate: wilson(control.correct, control.failing),
      },
    ],
  );
}

/** "2.5 %" */
export function percentText(share: number): string {
  return `${Math.round(share * 1000) / 10} %`;
}
