import fc from "fast-check";
import { expect, it } from "vitest";
import { histogramOf } from "./histogram.ts";

const scores = fc.array(fc.double({ noNaN: true, min: -1e6, max: 1e6 }), { maxLength: 200 });

it("counts every sample once and keeps the thresholds in sight", () => {
  fc.assert(
    fc.property(scores, scores, fc.double({ noNaN: true, min: -100, max: 100 }), (clean, failing, gate) => {
      const histogram = histogramOf(clean, failing, [gate]);
      if (clean.length + failing.length === 0) {
        expect(histogram).toBeNull();
        return;
      }
      const sum = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0);
      expect(sum(histogram!.clean)).toBe(clean.length);
      expect(sum(histogram!.failing)).toBe(failing.length);
      expect(histogram!.low).toBeLessThan(gate);
      expect(histogram!.high).toBeGreaterThan(gate);
    }),
  );
});

it("puts a score into the bin that holds it", () => {
  const { low, high, clean } = histogramOf([0, 1, 1, 4], [], [2])!;
  const bin = (score: number): number => Math.floor(((score - low) / (high - low)) * clean.length);
  expect([clean[bin(0)], clean[bin(1)], clean[bin(4)]]).toEqual([1, 2, 1]);
});
