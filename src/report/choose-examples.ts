/** Which samples a report shows. */
import type { Judged } from "../training/judged.ts";

export interface ChosenExample {
  readonly judged: Judged;
  readonly why: string;
}

interface Kind {
  readonly why: string;
  readonly most: number;
  readonly is: (sample: Judged) => boolean;
}

const wasWrong = ({ set, unpatched, label }: Judged): boolean => set === "failing" && unpatched !== label;

/** In the order of showing. */
const kinds: readonly Kind[] = [
  { why: "failing, repaired", most: 2, is: (s) => wasWrong(s) && s.patched === s.label },
  {
    why: "failing, patched, still wrong",
    most: 1,
    is: (s) => wasWrong(s) && s.columns.length > 0 && s.patched !== s.label,
  },
  {
    why: "failing, left alone",
    most: 1,
    is: (s) => wasWrong(s) && s.columns.length === 0 && s.patched !== s.label,
  },
  { why: "clean, answer changed", most: 1, is: (s) => s.set === "clean" && s.patched !== s.unpatched },
  {
    why: "clean, patched, answer kept",
    most: 1,
    is: (s) => s.set === "clean" && s.columns.length > 0 && s.patched === s.unpatched,
  },
  {
    why: "clean, untouched",
    most: 1,
    is: (s) =>
      s.set === "clean" && s.columns.length === 0 && s.patched === s.unpatched && s.patched === s.label,
  },
];

/** The first few samples of every kind that there is. */
export function chooseExamples(judged: readonly Judged[]): ChosenExample[] {
  return kinds.flatMap(({ why, most, is }) =>
    judged
      .filter(is)
      .slice(0, most)
      .map((sample) => ({ judged: sample, why })),
  );
}

/** The same where nothing is patched. */
export function chooseUnpatched(judged: readonly Judged[]): ChosenExample[] {
  const failing = judged.filter(wasWrong).slice(0, 2);
  const clean = judged
    .filter(({ set, unpatched, label }) => set === "clean" && unpatched === label)
    .slice(0, 2);
  return [
    ...failing.map((sample) => ({ judged: sample, why: "failing" })),
    ...clean.map((sample) => ({ judged: sample, why: "clean" })),
  ];
}
