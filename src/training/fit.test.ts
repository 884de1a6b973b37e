import { describe, expect, it } from "vitest";
import { standardisation, type SiteColumns } from "./columns.ts";
import { fitSite, scoreSamples } from "./fit.ts";
import { labelColumns } from "./labels.ts";
import { Random } from "./random.ts";

/** Samples of 10 keys; key 6 of every fourth sample is anomalous: its feature 12 is high and the next key's feature 13 too. */
function syntheticColumns(samples: number): SiteColumns {
  const random = new Random(3, "columns");
  const width = 14;
  return {
    site: 2,
    width,
    samples: Array.from({ length: samples }, (_, sample) => {
      const features = Float32Array.from({ length: 10 * width }, () => random.uniform());
      if (sample % 4 === 0) {
        features[6 * width + 12] = 2;
        features[7 * width + 13] = 2;
      }
      return { keys: 10, visible: new Uint8Array(10).fill(1), features };
    }),
  };
}

describe("fitSite", () => {
  const columns = syntheticColumns(60);
  const [fit, held] = [Array.from({ length: 40 }, (_, i) => i), Array.from({ length: 20 }, (_, i) => 40 + i)];
  const failing = (samples: readonly number[]): number[] => samples.filter((sample) => sample % 4 === 0);
  const clean = fit.filter((sample) => sample % 4 !== 0);
  const labels = labelColumns(
    columns,
    failing(fit).map((sample) => ({ sample, positive: [6], ring: new Set([5, 7]) })),
    clean,
    1,
  );
  const options = {
    features: "value",
    kernel: 3,
    standardisation: standardisation(columns, clean),
    steps: 150,
  } as const;

  it("separates anomalous columns of samples it did not see", () => {
    const fitted = fitSite(columns, labels, { ...options, random: new Random(0, "fit") });
    const scores = scoreSamples(fitted, columns, held);
    const anomalous = held.flatMap((sample, i) => (sample % 4 === 0 ? [scores[i]![6]!] : []));
    const ordinary = held.flatMap((sample, i) => (sample % 4 === 0 ? [] : [...scores[i]!.subarray(1)]));
    expect(Math.min(...anomalous)).toBeGreaterThan(Math.max(...ordinary));
  });

  it("gives the same detector for the same seed, another for another", () => {
    const weights = (seed: number): number[] => [
      ...fitSite(columns, labels, { ...options, steps: 5, random: new Random(seed, "fit") }).network.weight1,
    ];
    expect(weights(1)).toEqual(weights(1));
    expect(weights(1)).not.toEqual(weights(2));
    expect(weights(1).every((weight) => weight === Math.fround(weight))).toBe(true);
  });
});

describe("standardisation", () => {
  it("gives mean and 1/std over visible columns, and no weight to what never varies", () => {
    const { mean, scale } = standardisation(
      {
        site: 0,
        width: 2,
        samples: [{ keys: 3, visible: Uint8Array.of(1, 0, 1), features: Float32Array.of(1, 5, 9, 9, 3, 5) }],
      },
      [0],
    );
    expect([...mean]).toEqual([2, 5]);
    expect([...scale]).toEqual([1, 0]);
  });
});
