import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DebugSample } from "./debug-set.ts";
import { finalSplit } from "./final-fit.ts";
import type { TrainingData } from "./training-data.ts";

function dataOf(clean: number, twins: readonly (number | null)[]): TrainingData {
  const sample = (id: string, set: "clean" | "failing", pair: string | null): DebugSample => ({
    id,
    set,
    label: 0,
    pair,
    instance: id,
    columns: null,
    source: {},
  });
  const samples = [
    ...Array.from({ length: clean }, (_, i) => sample(`c${i}`, "clean", null)),
    ...twins.map((twin, i) => sample(`f${i}`, "failing", twin === null ? null : `c${twin % clean}`)),
  ];
  const failing = twins.map((_, i) => clean + i);
  return {
    samples,
    layout: { kind: "sequence", firstKey: 1 },
    sites: [],
    answers: samples.map(() => 0),
    clean: Array.from({ length: clean }, (_, i) => i),
    failing,
    labels: new Map(
      failing.map((index) => [index, { sample: index, positive: [1], ring: new Set<number>() }]),
    ),
  };
}

describe("finalSplit", () => {
  it("keeps twins together, gives calibration its half, and fits every failing sample while it can", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 4, max: 80 }),
        fc.array(fc.option(fc.nat(79)), { minLength: 1, maxLength: 40 }),
        fc.nat(),
        (clean, twins, seed) => {
          const data = dataOf(clean, twins);
          const { fit, calibration } = finalSplit(data, seed);
          const fitted = new Set([...fit.failing.map(({ sample }) => sample), ...fit.clean]);
          expect(calibration.some((sample) => fitted.has(sample))).toBe(false);
          expect(calibration.length).toBe(Math.floor(clean / 2));
          for (const { sample } of fit.failing) {
            const twin = data.samples[sample]!.pair;
            if (twin !== null) expect(calibration).not.toContain(Number(twin.slice(1)));
          }
          const unpaired =
            clean - new Set(twins.filter((twin) => twin !== null).map((twin) => twin % clean)).size;
          if (unpaired >= Math.floor(clean / 2)) expect(fit.failing).toHaveLength(twins.length);
        },
      ),
    );
  });
});
