import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Random } from "./random.ts";
import { baseGroups, stratifiedFolds, type SplitSample } from "./split.ts";

/** Clean samples c0…, failing samples f0… of which some have a clean twin; several may share one. */
const sets = fc
  .tuple(
    fc.integer({ min: 1, max: 60 }),
    fc.array(fc.option(fc.nat(59)), { minLength: 1, maxLength: 40 }),
    fc.nat(4),
  )
  .map(([clean, twins, classes]): SplitSample[] => [
    ...Array.from({ length: clean }, (_, i) => ({
      id: `c${i}`,
      set: "clean" as const,
      label: i % (classes + 1),
      pair: null,
      instance: i % 7 === 3 ? "said often" : `clean ${i}`,
    })),
    ...twins.map((twin, i) => ({
      id: `f${i}`,
      set: "failing" as const,
      label: i % (classes + 1),
      pair: twin === null ? null : `c${twin % clean}`,
      instance: i % 5 === 4 ? "said often" : `failing ${i}`,
    })),
  ]);

describe("split", () => {
  it("never separates twins", () => {
    fc.assert(
      fc.property(sets, fc.integer({ min: 2, max: 5 }), fc.nat(), (samples, folds, seed) => {
        const fold = stratifiedFolds(samples, folds, new Random(seed, "split"));
        samples.forEach((sample, i) => {
          if (sample.pair === null) return;
          expect(fold[i]).toBe(fold[samples.findIndex((other) => other.id === sample.pair)]);
        });
        const often = samples.flatMap(({ instance }, i) => (instance === "said often" ? [fold[i]] : []));
        expect(new Set(often).size).toBeLessThanOrEqual(1);
        expect(fold.every((f) => f >= 0 && f < folds)).toBe(true);
      }),
    );
  });

  it("deals every kind of base sample evenly and repeats itself", () => {
    fc.assert(
      fc.property(sets, fc.integer({ min: 2, max: 5 }), fc.nat(), (samples, folds, seed) => {
        const fold = stratifiedFolds(samples, folds, new Random(seed, "split"));
        expect(stratifiedFolds(samples, folds, new Random(seed, "split"))).toEqual(fold);
        const kinds = new Map<string, number[]>();
        for (const group of baseGroups(samples)) {
          const kind = [...new Set(group.map((i) => samples[i]!.set))].sort().join();
          const counts = kinds.get(kind) ?? Array.from({ length: folds }, () => 0);
          counts[fold[group[0]!]!]! += 1;
          kinds.set(kind, counts);
        }
        for (const counts of kinds.values())
          expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
      }),
    );
  });
});
