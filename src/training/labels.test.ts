import { describe, expect, it } from "vitest";
import { labelColumns, ringAround } from "./labels.ts";

const sorted = (ring: Iterable<number>): number[] => [...ring].sort((a, b) => a - b);

describe("ringAround", () => {
  const grid = { kind: "grid", firstKey: 1, rows: 3, columns: 4 } as const;

  it("is the eight neighbours in a grid, cut at its edges", () => {
    expect(sorted(ringAround([1 + 5], grid, 13))).toEqual([1, 2, 3, 5, 7, 9, 10, 11]);
    expect(sorted(ringAround([1 + 3], grid, 13))).toEqual([3, 7, 8]);
    expect(sorted(ringAround([6, 7], grid, 13))).toEqual([1, 2, 3, 4, 5, 8, 9, 10, 11, 12]);
  });

  it("is the other pieces of a word in a text, and the next neighbours where no tokens are known", () => {
    const text = { kind: "sequence", firstKey: 1 } as const;
    const spans = new Map([
      [1, { start: 0, end: 3 }],
      [2, { start: 4, end: 6 }],
      [3, { start: 6, end: 8 }],
      [4, { start: 8, end: 9 }],
      [5, { start: 10, end: 12 }],
    ]);
    expect(sorted(ringAround([3], text, 7, spans))).toEqual([2, 4]);
    expect(sorted(ringAround([2], text, 7, spans))).toEqual([3, 4]);
    expect(sorted(ringAround([5], text, 7, spans))).toEqual([]);
    expect(sorted(ringAround([1, 3], text, 5))).toEqual([2, 4]);
    expect(sorted(ringAround([4], text, 5))).toEqual([3]);
  });

  it("is empty for features of a table", () => {
    expect(ringAround([2], { kind: "features", firstKey: 1, names: ["a", "b"], protected: [] }, 3).size).toBe(
      0,
    );
  });
});

describe("labelColumns", () => {
  it("leaves out the ring, hidden keys and those before the first one", () => {
    const visible = Uint8Array.of(1, 1, 1, 1, 0);
    const sample = { keys: 5, visible, features: new Float32Array(5) };
    const { positive, negative } = labelColumns(
      { site: 0, width: 1, samples: [sample, sample] },
      [{ sample: 0, positive: [2], ring: new Set([3]) }],
      [1],
      1,
    );
    expect(positive).toEqual([{ sample: 0, key: 2 }]);
    expect(negative.map(({ sample: of, key }) => `${of}/${key}`)).toEqual(["0/1", "1/1", "1/2", "1/3"]);
  });
});
