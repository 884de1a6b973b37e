import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { groupFairness, type Decision } from "./fairness.ts";
import { Random } from "./random.ts";

const decision = fc.record({ privileged: fc.boolean(), deserved: fc.boolean(), granted: fc.boolean() });

/** Share of the decisions that pass, counted sample by sample. */
function share(
  all: readonly Decision[],
  of: (d: Decision) => boolean,
  hit: (d: Decision) => boolean,
): number {
  const chosen = all.filter(of);
  return chosen.filter(hit).length / chosen.length;
}

describe("groupFairness", () => {
  it("gives the figures of the definitions", () => {
    fc.assert(
      fc.property(fc.array(decision, { minLength: 1, maxLength: 60 }), (all) => {
        const { spd, di, eod, aaod, accuracy, mcc } = groupFairness(all, new Random(1, "bootstrap"));
        const granted = (d: Decision): boolean => d.granted;
        const [low, high] = [false, true].map((group) => share(all, (d) => d.privileged === group, granted));
        const rate = (group: boolean, deserved: boolean): number =>
          share(all, (d) => d.privileged === group && d.deserved === deserved, granted);
        const same = (given: number | null, expected: number): void => {
          if (Number.isFinite(expected)) expect(given).toBeCloseTo(expected, 10);
          else expect(given).toBeNull();
        };
        same(spd.value, low! - high!);
        same(di.value, low! / high!);
        same(eod.value, rate(false, true) - rate(true, true));
        const odds =
          Math.abs(rate(false, true) - rate(true, true)) + Math.abs(rate(false, false) - rate(true, false));
        same(aaod.value, odds / 2);
        same(
          accuracy.value,
          share(
            all,
            () => true,
            (d) => d.deserved === d.granted,
          ),
        );
        // MCC is the correlation of truth and answer.
        const mean = (f: (d: Decision) => number): number =>
          all.reduce((sum, d) => sum + f(d), 0) / all.length;
        const [t, g] = [mean((d) => Number(d.deserved)), mean((d) => Number(d.granted))];
        const covariance = mean((d) => (Number(d.deserved) - t) * (Number(d.granted) - g));
        same(mcc.value, covariance / Math.sqrt(t * (1 - t) * g * (1 - g)));
      }),
    );
  });

  it("covers the true difference about as often as it says, and gives the same intervals for the same seed", () => {
    const random = new Random(7, "people");
    let covered = 0;
    for (let round = 0; round < 60; round++) {
      const people = Array.from({ length: 400 }, (): Decision => {
        const privileged = random.uniform() < 0.6;
        const deserved = random.uniform() < 0.4;
        return { privileged, deserved, granted: random.uniform() < (privileged ? 0.5 : 0.3) };
      });
      const { spd } = groupFairness(people, new Random(round, "bootstrap"));
      if (spd.low! <= -0.2 && spd.high! >= -0.2) covered += 1;
      if (round === 0) expect(groupFairness(people, new Random(0, "bootstrap")).spd).toEqual(spd);
    }
    expect(covered).toBeGreaterThan(50);
  });
});
