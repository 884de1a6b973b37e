/** When training does not go on, and what it says then. */
import { AtPatchError } from "../shared/errors.ts";
import { neededForGate } from "./calibrate.ts";
import type { Choice } from "./choose.ts";
import type { DebugSample } from "./debug-set.ts";
import { explainedShare, verdictBounds } from "./decide.ts";
import type { Gathered } from "./gather.ts";

/** Fewest failing samples for two folds that say something. */
const fewestFailing = 8;

/** @throws AtPatchError ATPATCH_TRAINING when the set has too few samples of a kind */
export function checkSizes(samples: readonly DebugSample[], alpha: number): void {
  const clean = samples.filter(({ set }) => set === "clean").length;
  const failing = samples.length - clean;
  // Half of the clean samples calibrate the thresholds, in every fold and at the end.
  const needed = 2 * neededForGate(alpha) + 2;
  if (failing < fewestFailing) {
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

/** @throws AtPatchError ATPATCH_TRAINING when too few failing samples fail, or no columns were found */
export function checkGathered({ data, localization }: Gathered): void {
  if (data.failing.length < fewestFailing) {
    throw new AtPatchError(
      "ATPATCH_TRAINING",
      `the model answers ${localization.answered_rightly} of the failing samples rightly: ${data.failing.length} wrong answers are left, at least ${fewestFailing} are needed`,
    );
  }
  if (data.labels.size < 2) {
    throw new AtPatchError(
      "ATPATCH_TRAINING",
      `these failures are not carried by attention columns: repairing any window of columns changes the answer of ${data.labels.size} of ${data.failing.length} failing samples`,
    );
  }
}

/** Why no bundle is made, with the evidence. */
export function refusal({ chosen: { heldOut }, control }: Choice, what: string): AtPatchError {
  const of = (count: number): string => `${count} of ${heldOut.failing}`;
  return new AtPatchError(
    "ATPATCH_TRAINING",
    `${what}: a detector fitted on one half of them changes the answer of ${of(heldOut.repaired)} held-out failing samples, ` +
      `${heldOut.correct} of them to the right one; random columns change ${control.repaired}. That explains ` +
      `${percentText(explainedShare(heldOut, control))}: below ${percentText(verdictBounds.refuse)} nothing is shipped, ` +
      `up to ${percentText(verdictBounds.partly)} only when a partial explanation is accepted`,
  );
}

/** "2.5 %" */
export function percentText(share: number): string {
  return `${Math.round(share * 1000) / 10} %`;
}
