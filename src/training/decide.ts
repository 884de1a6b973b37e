/**
 * Whether the failing samples, as a set, look like a trigger: no single sample can tell, since clean and wrongly
 * answered inputs flip under some window too. Measured shares of held-out failing samples that leave their wrong answer:
 * triggers 65–99 %, half triggers and half ordinary errors 22–40 %, ordinary errors 0–10 %.
 *
 * With many classes an error near a border leaves its answer for another wrong one when anything is changed, which says
 * little: such a repair counts half, and what random columns achieve is taken off.
 */
import type { HeldOut } from "./cross-validate.ts";

export type Verdict = "trigger" | "partly" | "ordinary errors";

/** Below the first share the set is refused, up to the second it is explained in part only. */
export const verdictBounds = { refuse: 0.15, partly: 0.5 } as const;

/** Share of held-out failing samples that the flagged columns explain. */
export function explainedShare(flagged: HeldOut, control: HeldOut): number {
  if (flagged.failing === 0) return 0;
  const score = ({ repaired, correct }: HeldOut): number => (repaired + correct) / 2;
  return Math.max(0, score(flagged) - score(control)) / flagged.failing;
}

export function decide(explained: number): Verdict {
  if (explained < verdictBounds.refuse) return "ordinary errors";
  return explained <= verdictBounds.partly ? "partly" : "trigger";
}
