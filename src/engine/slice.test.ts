import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { float32, tensor } from "../shared/tensor.ts";
import { isBatchFirst, putSamples, takeSamples } from "./slice.ts";

const values = (length: number): number[] => Array.from({ length }, (_, at) => at);

describe("takeSamples", () => {
  it("takes rows in the order named, as a copy", () => {
    const from = float32([3, 2], [1, 2, 3, 4, 5, 6]);
    const taken = takeSamples(from, [2, 0]);
    expect(taken.shape).toEqual([2, 2]);
    expect([...taken.data]).toEqual([5, 6, 1, 2]);
    taken.data[0] = 99;
    expect(from.data[4]).toBe(5);
  });

  it("keeps the datatype, 64-bit integers and scalars per sample included", () => {
    const taken = takeSamples(tensor("INT64", [3], BigInt64Array.of(7n, 8n, 9n)), [1]);
    expect(taken).toEqual({ datatype: "INT64", shape: [1], data: BigInt64Array.of(8n) });
  });

  it("works on views into a larger buffer", () => {
    const view = new Float32Array(Float32Array.of(0, 0, 1, 2, 3, 4).buffer, 8, 4);
    expect([...takeSamples(float32([2, 2], view), [1]).data]).toEqual([3, 4]);
  });
});

describe("putSamples", () => {
  it("undoes takeSamples: what is not named stays, what is named is overwritten", () => {
    const cases = fc
      .record({ batch: fc.integer({ min: 1, max: 6 }), width: fc.nat(5) })
      .chain(({ batch, width }) =>
        fc.record({
          batch: fc.constant(batch),
          width: fc.constant(width),
          samples: fc.uniqueArray(fc.nat(batch - 1), { maxLength: batch }),
        }),
      );
    fc.assert(
      fc.property(cases, ({ batch, width, samples }) => {
        const before = values(batch * width);
        const target = float32([batch, width], before);
        const rows = takeSamples(target, samples);
        (rows.data as Float32Array).set((rows.data as Float32Array).map((value) => -value - 1));
        putSamples(target, samples, rows);
        const expected = before.map((value, at) =>
          samples.includes(Math.floor(at / width)) ? -value - 1 : value,
        );
        expect([...target.data]).toEqual(expected);
      }),
    );
  });

  it("refuses rows of another size", () => {
    const rows = float32([1, 3], [0, 0, 0]);
    expect(() => putSamples(float32([2, 2], values(4)), [0], rows)).toThrow("do not fit");
  });
});

describe("isBatchFirst", () => {
  it("looks at dimension 0 only", () => {
    expect(isBatchFirst(float32([3, 1], values(3)), 3)).toBe(true);
    expect(isBatchFirst(float32([1, 3], values(3)), 3)).toBe(false);
    expect(isBatchFirst(float32([], [0]), 1)).toBe(false);
  });
});
