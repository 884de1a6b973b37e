import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mcc } from "./mcc.ts";

const pairs = (classes: number) =>
  fc.array(fc.record({ label: fc.nat(classes - 1), answer: fc.nat(classes - 1) }), {
    minLength: 2,
    maxLength: 50,
  });

describe("mcc", () => {
  it("is the correlation of truth and answer for two classes", () => {
    fc.assert(
      fc.property(pairs(2), (all) => {
        const mean = (f: (p: (typeof all)[0]) => number): number =>
          all.reduce((sum, p) => sum + f(p), 0) / all.length;
        const [a, b] = [mean((p) => p.label), mean((p) => p.answer)];
        const expected = mean((p) => (p.label - a) * (p.answer - b)) / Math.sqrt(a * (1 - a) * b * (1 - b));
        if (Number.isFinite(expected)) expect(mcc(all)).toBeCloseTo(expected, 10);
        else expect(mcc(all)).toBeNull();
      }),
    );
  });

  it("is 1 for right answers only, and lies between −1 and 1", () => {
    expect(mcc([0, 1, 2, 2].map((label) => ({ label, answer: label })))).toBe(1);
    fc.assert(
      fc.property(pairs(4), (all) => {
        const value = mcc(all) ?? 0;
        expect(Math.abs(value)).toBeLessThanOrEqual(1 + 1e-12);
      }),
    );
  });
});
