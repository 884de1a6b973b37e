import { expect, it } from "vitest";
import { ordinarilyRepaired } from "./ordinary.ts";

const of = (pairs: readonly (readonly [label: number, answer: number])[], failing: readonly number[]) => ({
  samples: pairs.map(([label], index) => ({
    id: String(index),
    set: failing.includes(index) ? ("failing" as const) : ("clean" as const),
    label,
    instance: "",
    pair: null,
    columns: null,
    source: {},
  })),
  answers: pairs.map(([, answer]) => answer),
  failing,
  clean: pairs.map((_, index) => index).filter((index) => !failing.includes(index)),
});

it("asks no more of failing samples than clean ones give", () => {
  // Of the clean samples of other classes, one in four is answered 1; none is answered 2.
  const clean = [[0, 1], [0, 0], [0, 0], [2, 0], [1, 1], [1, 0]] as const; // prettier-ignore
  const data = of([...clean, [0, 1], [0, 1], [0, 2]], [6, 7, 8]);
  expect(ordinarilyRepaired(data)).toBeCloseTo(0.75 + 0.75 + 1, 12);
});

it("asks for all without clean samples to go by", () => {
  expect(ordinarilyRepaired(of([[0, 1], [0, 1]], [0, 1]))).toBe(2); // prettier-ignore
});
