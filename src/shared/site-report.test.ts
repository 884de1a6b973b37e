import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  allFeatures,
  columnFeatures,
  isVisible,
  valueWidth,
  visibleColumns,
  visibleKeys,
  type SiteReport,
} from "./site-report.ts";

describe("SiteReport", () => {
  it("finds every feature of every column, window by window", () => {
    const sizes = fc.record({
      batch: fc.integer({ min: 1, max: 3 }),
      windows: fc.integer({ min: 1, max: 3 }),
      length: fc.integer({ min: 1, max: 4 }),
      values: fc.integer({ min: 0, max: 3 }),
    });
    fc.assert(
      fc.property(sizes, ({ batch, windows, length, values }) => {
        const width = 11 + values;
        // Every number tells its own row, feature and position.
        const features = Float32Array.from({ length: batch * windows * width * length }, (_, at) => at);
        const report: SiteReport = { site: 0, keys: windows * length, windows, width, features };
        for (let column = 0; column < batch * windows * length; column++) {
          const [row, position] = [Math.floor(column / length), column % length];
          const expected = Array.from({ length: width }, (_, f) => (row * width + f) * length + position);
          expect([...columnFeatures(report, column)]).toEqual(expected);
          expect([...columnFeatures(report, column, 11)]).toEqual(expected.slice(11));
        }
      }),
    );
  });

  it("of a pointwise site tells the same as one whose φ tells the visible keys alone", () => {
    const sizes = fc.record({
      batch: fc.integer({ min: 1, max: 3 }),
      windows: fc.integer({ min: 1, max: 3 }),
      length: fc.integer({ min: 1, max: 4 }),
      values: fc.integer({ min: 1, max: 3 }),
      hidden: fc.integer({ min: 0, max: 4 }),
    });
    fc.assert(
      fc.property(sizes, ({ batch, windows, length, values, hidden }) => {
        const columns = batch * windows * length;
        const largest = Float32Array.from({ length: columns }, (_, at) => (at % 5 < hidden ? 0 : 0.25));
        const byKey = Float32Array.from({ length: columns * values }, (_, at) => at + 1);
        const about = { site: 0, keys: windows * length, windows, width: 11 + values };
        const report: SiteReport = { ...about, features: byKey, largest };
        const whole: SiteReport = { ...about, features: allFeatures(report) };
        expect(whole.features).toHaveLength(columns * about.width);
        expect(allFeatures(whole)).toBe(whole.features);
        for (let column = 0; column < columns; column++) {
          const seen = Number(largest[column]! > 0);
          const own = [...byKey.subarray(column * values, (column + 1) * values)];
          const expected = [...Array<number>(10).fill(0), seen, ...own];
          for (const each of [report, whole]) {
            expect([...columnFeatures(each, column)]).toEqual(expected);
            expect([...columnFeatures(each, column, 10, 12)]).toEqual(expected.slice(10, 12));
            expect(isVisible(each, column)).toBe(seen === 1);
          }
        }
        for (const tell of [visibleColumns, valueWidth, (each: SiteReport) => visibleKeys(each, batch - 1)])
          expect(tell(report)).toEqual(tell(whole));
      }),
    );
  });

  it("tells visible keys by the places alone", () => {
    const features = new Float32Array(11 * 4).fill(-1);
    const put = (feature: number, key: number, value: number): number =>
      (features[feature * 4 + key] = value);
    put(8, 0, 1);
    put(9, 1, 1);
    put(10, 2, 1);
    put(7, 3, 1);
    const report: SiteReport = { site: 0, keys: 4, windows: 1, width: 11, features };
    expect([...visibleColumns(report)]).toEqual([1, 1, 1, 0]);
    expect([0, 3].map((key) => isVisible(report, key))).toEqual([true, false]);
  });

  it("has no columns where the site did not run", () => {
    const report: SiteReport = { site: 0, keys: 0, windows: 1, width: 0, features: new Float32Array(0) };
    expect(visibleColumns(report)).toHaveLength(0);
  });
});
