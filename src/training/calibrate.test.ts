import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { columnThreshold, gateRank, gateThresholds, neededForGate } from "./calibrate.ts";
import { Random } from "./random.ts";

/** Share of fresh samples above the gate, where scores of a sample are drawn anew each time. */
function measuredRate(n: number, alpha: number, sites: number, draw: (random: Random) => number[]): number {
  const random = new Random(n, "conformal");
  let [flagged, fresh] = [0, 0];
  for (let round = 0; round < 400; round++) {
    const samples = Array.from({ length: n }, () => draw(random));
    const scores = Array.from({ length: sites }, (_, s) => samples.map((sample) => [sample[s]!]));
    const gates = gateThresholds(scores, gateRank(n, alpha));
    for (let i = 0; i < 50; i++) {
      fresh += 1;
      if (draw(random).some((score, s) => score >= gates[s]!)) flagged += 1;
    }
  }
  return flagged / fresh;
}

describe("gateThresholds", () => {
  it("keeps the false-flag rate of new samples at k / (n + 1), whatever the distribution", () => {
    // 20 000 fresh samples, dependent within a round: the bound is checked with room for both.
    const heavyTailed = (random: Random): number[] => [1 / (random.uniform() + 1e-9)];
    const rate = measuredRate(99, 0.05, 1, heavyTailed);
    expect(rate).toBeLessThan(0.056);
    expect(rate).toBeGreaterThan(0.04);
  });

  it("keeps it over all sites together", () => {
    const two = (random: Random): number[] => [random.uniform(), random.uniform() ** 3];
    expect(measuredRate(99, 0.05, 2, two)).toBeLessThan(0.056);
  });

  it("stays above a score whose neighbour is the very next number", () => {
    const scores = [-49.99999999999989, -49.99999999999991, -49.9999999999999, 0];
    const [gate] = gateThresholds([scores.map((score) => [score])], 3);
    expect(scores.filter((score) => score >= gate!)).toHaveLength(2);
  });

  it("flags fewer than `rank` of the samples it was made from, and rank − 1 with one site and no ties", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.double({ min: -50, max: 50, noNaN: true }), { minLength: 3, maxLength: 40 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (scores, share) => {
          const rank = 1 + Math.floor(share * (scores.length - 1));
          const [gate] = gateThresholds([scores.map((score) => [score, score - 1])], rank) as [number];
          expect(scores.filter((score) => score >= gate)).toHaveLength(rank - 1);
        },
      ),
    );
  });

  it("copes with samples that have no column", () => {
    expect(gateThresholds([[[], [], []]], 1)[0]).toBeLessThan(0);
  });

  it("knows how many samples a rate needs", () => {
    expect([gateRank(49, 0.02), gateRank(48, 0.02), gateRank(300, 0.02), gateRank(99, 0.01)]).toEqual([
      1, 0, 6, 1,
    ]);
    fc.assert(
      fc.property(fc.double({ min: 0.001, max: 0.5, noNaN: true }), (alpha) => {
        expect(gateRank(neededForGate(alpha), alpha)).toBeGreaterThanOrEqual(1);
        expect(gateRank(neededForGate(alpha) - 1, alpha)).toBe(0);
      }),
    );
  });
});

describe("columnThreshold", () => {
  it("is the quantile over all columns", () => {
    const scores = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90].map((tens) =>
      Array.from({ length: 10 }, (_, ones) => tens + ones),
    );
    expect(columnThreshold(scores, 0.99)).toBe(99);
    expect(columnThreshold(scores, 0.5)).toBe(50);
    expect(columnThreshold([], 0.99)).toBe(Infinity);
  });
});
