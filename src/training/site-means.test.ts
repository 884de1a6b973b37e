import { describe, expect, it } from "vitest";
import { attentionFeatureCount, placeFeatures } from "../shared/detector-tensors.ts";
import type { SiteReport } from "../shared/site-report.ts";
import { float32, type Tensor } from "../shared/tensor.ts";
import { SiteMeans } from "./site-means.ts";

type Map4 = Tensor & { readonly data: Float32Array };

/** @param values of one column after the other; @param visible 1 or 0 for every column */
function report(keys: number, values: readonly number[], visible: readonly number[]): SiteReport {
  const perKey = values.length / visible.length;
  const width = attentionFeatureCount + perKey;
  const features = new Float32Array(visible.length * width);
  const put = (column: number, feature: number, value: number): void => {
    features[(Math.floor(column / keys) * width + feature) * keys + (column % keys)] = value;
  };
  visible.forEach((seen, column) => put(column, placeFeatures[2], seen));
  values.forEach((value, at) => put(Math.floor(at / perKey), attentionFeatureCount + (at % perKey), value));
  return { site: 0, keys, windows: 1, width, features };
}
const map = (shape: number[], data: number[]): Map4 => float32(shape, data) as Map4;

describe("SiteMeans", () => {
  it("averages maps and values per position and head while all samples have one length", () => {
    const means = new SiteMeans();
    // Two samples, two heads of one value number each, one query, two keys.
    const maps = map([2, 2, 1, 2], [0.2, 0.8, 0.4, 0.6, 0.6, 0.4, 0.8, 0.2]);
    const reported = report(2, [1, 2, 3, 4, 5, 6, 7, 8], [1, 1, 1, 1]);
    for (const row of [0, 1]) means.add(maps, reported, row);
    expect(means.fixedLength).toBe(true);
    const { attention, value } = means.perPosition();
    expect(attention.shape).toEqual([2, 1, 2]);
    expect([...(attention.data as Float32Array)].map((x) => x.toFixed(3))).toEqual([
      "0.400",
      "0.600",
      "0.600",
      "0.400",
    ]);
    // [head][key]: head 0 holds numbers 1, 3 and 5, 7; head 1 holds 2, 4 and 6, 8.
    expect([...(value.data as Float32Array)]).toEqual([3, 5, 4, 6]);
  });

  it("gives ρ = 1 for uniform attention of any length, over ordinary keys only", () => {
    const means = new SiteMeans();
    for (const keys of [4, 6]) {
      const uniform = map(
        [1, 1, keys, keys],
        Array.from({ length: keys * keys }, () => 1 / keys),
      );
      const values = Array.from({ length: keys }, (_, key) => (key === 0 || key === keys - 1 ? 99 : 2));
      means.add(
        uniform,
        report(
          keys,
          values,
          values.map(() => 1),
        ),
        0,
      );
    }
    expect(means.fixedLength).toBe(false);
    const { attention, value } = means.perHead();
    expect(attention.data[0]).toBeCloseTo(1, 6);
    expect(value.data[0]).toBeCloseTo(2, 6);
  });

  it("leaves padding out: keys nobody sees, and the queries at their positions", () => {
    const means = new SiteMeans();
    // Keys 0 to 2 are visible, 3 is padding; the padded query puts everything on key 1.
    const rows = [0.3, 0.4, 0.3, 0, 0.3, 0.4, 0.3, 0, 0.3, 0.4, 0.3, 0, 0, 1, 0, 0];
    means.add(map([1, 1, 4, 4], rows), report(4, [9, 5, 9, 7], [1, 1, 1, 0]), 0);
    expect(means.fixedLength).toBe(false);
    expect(means.perHead().attention.data[0]).toBeCloseTo(0.4 * 3, 6);
    expect(means.perHead().value.data[0]).toBe(5);
  });

  it("refuses values that do not divide into the heads", () => {
    const means = new SiteMeans();
    const add = (): void => means.add(map([1, 2, 1, 1], [1, 1]), report(1, [0, 0, 0], [1]), 0);
    expect(add).toThrow(/grouped values/);
  });
});
