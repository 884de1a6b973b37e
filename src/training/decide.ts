/**
 * Whether the failing samples, as a set, look like a trigger: no single sample can tell, since clean and wrongly
 * answered inputs flip under some window too. Measured shares of held-out failing samples that leave their wrong answer:
 * triggers 65–99 %, half triggers and half ordinary errors 22–40 %, ordinary errors 0–10 %.
 */
export type Verdict = "trigger" | "partly" | "ordinary errors";

/** Below the first share the set is refused, below the second it is explained in part only. */
export const verdictBounds = { refuse: 0.15, partly: 0.5 } as const;

/** @param repaired share of held-out failing samples that leave their wrong answer */
export function decide(repaired: number): Verdict {
  if (repaired < verdictBounds.refuse) return "ordinary errors";
  return repaired <= verdictBounds.partly ? "partly" : "trigger";
}
