/**
 * Whether the failing samples, as a set, look like a trigger: no single sample can tell, since clean and wrongly
 * answered inputs flip under some window too. What tells is how many held-out failing samples get their right answer when
 * the flagged columns are repaired. Triggered samples get it about as often as clean ones do, since the model knows no better
 * without the trigger; ordinary errors, and failures of another kind, hardly ever do more often than by chance.
 */
import type { HeldOut } from "./cross-validate.ts";
import { wilson } from "./wilson.ts";

export type Verdict = "trigger" | "partly" | "ordinary errors";

/**
 * Below the first share the set is refused, up to the second it is explained in part only, and up to the third a good part
 * is said to be left.
 */
export const verdictBounds = { refuse: 0.15, partly: 0.6, mostly: 0.85 } as const;

/**
 * Share of the failing samples that the flagged columns explain: right answers when held out, less those that random
 * columns bring, over the share of clean samples that are answered rightly.
 * @param accuracy share of the clean samples that the unpatched model answers rightly
 */
export function explainedShare(flagged: HeldOut, control: HeldOut, accuracy: number): number {
  if (flagged.failing === 0 || accuracy === 0) return 0;
  return Math.min(1, Math.max(0, flagged.correct - control.correct) / flagged.failing / accuracy);
}

/**
 * Whether a good part of the set seems to fail for another reason than the rest. Chance alone leaves many of a few samples
 * unexplained, so the upper end of the share's interval has to be below the bound, not the share itself.
 */
export function isMixed(flagged: HeldOut, control: HeldOut, accuracy: number): boolean {
  const explained = Math.max(0, flagged.correct - control.correct);
  const atMost = (wilson(explained, flagged.failing).high ?? 0) / accuracy;
  return explainedShare(flagged, control, accuracy) >= verdictBounds.refuse && atMost < verdictBounds.mostly;
}

export function decide(explained: number): Verdict {
  if (explained < verdictBounds.refuse) return "ordinary errors";
  return explained <= verdictBounds.partly ? "partly" : "trigger";
}
