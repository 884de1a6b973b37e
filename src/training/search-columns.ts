/**
 * Which columns make one sample fail: windows of growing size until some window changes the answer, then delta debugging
 * inside the window that lowers the margin most. It never opens with everything forced, because an empty input often
 * has a default class, and that may be the failing answer.
 */
import { ddmin } from "./ddmin.ts";

/** What forcing a set of columns did. */
export interface Trial {
  /** Margin of the failing answer: its logit minus the largest other one. It is the prediction while this is above 0. */
  readonly margin: number;
  readonly flips: boolean;
}

export interface Found {
  /** Columns that are needed together to leave the failing answer, rising; empty when no window did. */
  readonly columns: readonly number[];
  /** Margin with those columns forced; null when none were found. */
  readonly marginAfter: number | null;
  readonly passes: number;
}

/** Yields the candidate sets of a round, receives their trials. */
export type ColumnSearch = Generator<number[][], Found, readonly Trial[]>;

export function* searchColumns(rounds: readonly number[][][]): ColumnSearch {
  let passes = 0;
  for (const windows of rounds) {
    if (windows.length === 0) continue;
    const trials = yield windows;
    passes += windows.length;
    const best = lowestFlipping(trials);
    if (best < 0) continue;
    const inside = ddmin(windows[best] as number[]);
    let margin = (trials[best] as Trial).margin;
    let step = inside.next();
    while (!step.done) {
      const candidates = step.value;
      const tried = yield candidates;
      passes += candidates.length;
      const first = tried.findIndex((trial) => trial.flips);
      if (first >= 0) margin = (tried[first] as Trial).margin;
      step = inside.next(tried.map((trial) => trial.flips));
    }
    return { columns: step.value.toSorted((a, b) => a - b), marginAfter: margin, passes };
  }
  return { columns: [], marginAfter: null, passes };
}

/** The flipping trial with the lowest margin; the first of equals, −1 when none flips. */
function lowestFlipping(trials: readonly Trial[]): number {
  let best = -1;
  trials.forEach((trial, i) => {
    if (trial.flips && (best < 0 || trial.margin < (trials[best] as Trial).margin)) best = i;
  });
  return best;
}
