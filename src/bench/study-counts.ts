import { mostFrequentWrong, type Judged } from "../training/judged.ts";
import type { Count, TestCounts } from "./study-row.ts";

/** What was judged, counted. */
export function countsOf(judged: readonly Judged[]): TestCounts {
  const failing = judged.filter(({ set }) => set === "failing");
  const clean = judged.filter(({ set }) => set === "clean");
  const target = mostFrequentWrong(failing);
  const count = (of: readonly Judged[], is: (one: Judged) => boolean): Count => [
    of.filter(is).length,
    of.length,
  ];
  return {
    attack: count(failing, ({ patched }) => patched === target),
    right: count(failing, ({ patched, label }) => patched === label),
    found: count(failing, ({ triggered }) => triggered),
    flagged: count(clean, ({ triggered }) => triggered),
    altered: count(clean, ({ patched, unpatched }) => patched !== unpatched),
    accuracy: count(clean, ({ patched, label }) => patched === label),
    unpatched: count(clean, ({ unpatched, label }) => unpatched === label),
    floor: count(
      clean.filter(({ label }) => label !== target),
      ({ unpatched }) => unpatched === target,
    ),
  };
}
