import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { rateOf, wilson } from "./wilson.ts";

describe("wilson", () => {
  it.each([
    // Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
  ])("gives the published interval of %i / %i", (hits, n, low, high) => {
    const rate = wilson(hits, n);
    expect(rate.value).toBeCloseTo(hits / n, 12);
    expect(rate.low).toBeCloseTo(low, 4);
    expect(rate.high).toBeCloseTo(high, 4);
  });

  it("holds its value, is symmetric, and says nothing about no samples", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5000 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (n, share) => {
          const hits = Math.round(share * n);
          const [rate, mirrored] = [wilson(hits, n), wilson(n - hits, n)];
          expect(rate.low!).toBeLessThanOrEqual(rate.value!);
          expect(rate.high!).toBeGreaterThanOrEqual(rate.value!);
          expect(rate.low!).toBeCloseTo(1 - mirrored.high!, 10);
        },
      ),
    );
    expect(wilson(0, 0)).toEqual({ value: null, low: null, high: null });
    expect(rateOf([1, 2, 3, 4], (x) => x > 3).value).toBe(0.25);
  });
});
