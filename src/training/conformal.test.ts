import { describe, expect, it } from "vitest";
import { attentionFeatureCount as width } from "../shared/detector-tensors.ts";
import { standardisation, type SiteColumns } from "./columns.ts";
import { conformalSite } from "./conformal.ts";
import { scoreSamples } from "./fit.ts";
import { Random } from "./random.ts";

const random = new Random(3, "conformal");
/** Samples of 5 keys with random attention features; the one-hot places are first, last and others. */
const columns: SiteColumns = {
  site: 0,
  width,
  samples: Array.from({ length: 40 }, () => ({
    keys: 5,
    visible: new Uint8Array(5).fill(1),
    features: Float32Array.from({ length: 5 * width }, (_, i) => {
      const [key, f] = [Math.floor(i / width), i % width];
      if (f < 8) return random.uniform();
      return Number((key === 0 ? 8 : key === 4 ? 9 : 10) === f);
    }),
  })),
};
const clean = [...columns.samples.keys()];

describe("conformalSite", () => {
  it("scores a column by the sum of its absolute standardised attention features", () => {
    const { mean, scale } = standardisation(columns, clean);
    const [scores] = scoreSamples(conformalSite(columns, clean, false), columns, [0]);
    const { features } = columns.samples[0]!;
    for (let key = 0; key < 5; key++) {
      let expected = 0;
      for (let f = 0; f < 8; f++) expected += Math.abs((features[key * width + f]! - mean[f]!) * scale[f]!);
      expect(scores![key]).toBeCloseTo(expected, 4);
    }
  });

  it("never names the last column when that is to be skipped, and leaves the others as they are", () => {
    const [all] = scoreSamples(conformalSite(columns, clean, false), columns, [0]);
    const [others] = scoreSamples(conformalSite(columns, clean, true), columns, [0]);
    expect(others![4]).toBe(0);
    expect([...others!].slice(0, 4)).toEqual([...all!].slice(0, 4));
  });
});
