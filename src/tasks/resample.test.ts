import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { resize, type Filter, type Pixels } from "./resample.ts";

interface Case {
  filter: Filter;
  from: [number, number];
  to: [number, number];
  channels: number;
  seed: number;
  expected: number[];
}

const reference = JSON.parse(
  readFileSync(new URL("testdata/pillow-resize.json", import.meta.url), "utf8"),
) as { cases: Case[] };

/** The generator of testdata/make_references.py. */
function pseudoRandom(width: number, height: number, channels: number, seed: number): Pixels {
  const data = new Uint8Array(width * height * channels);
  let state = seed;
  for (let i = 0; i < data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = state >>> 24;
  }
  return { width, height, channels, data };
}

const filters: Filter[] = ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"];
const anyFilter = fc.constantFrom(...filters);
const edge = fc.integer({ min: 1, max: 20 });

describe("resize", () => {
  it.each(reference.cases)("gives Pillow's bytes: $filter $from to $to, $channels channels", (one) => {
    const image = pseudoRandom(...one.from, one.channels, one.seed);
    expect([...resize(image, ...one.to, one.filter).data]).toEqual(one.expected);
  });

  it("keeps a uniform image uniform, whatever the sizes", () => {
    fc.assert(
      fc.property(
        anyFilter,
        edge,
        edge,
        edge,
        edge,
        fc.integer({ min: 0, max: 255 }),
        (filter, w, h, w2, h2, level) => {
          const image = { width: w, height: h, channels: 1, data: new Uint8Array(w * h).fill(level) };
          expect(new Set(resize(image, w2, h2, filter).data)).toEqual(new Set([level]));
        },
      ),
    );
  });

  it("mirrors with its input", () => {
    const mirror = (image: Pixels): Pixels => {
      const data = image.data.slice();
      for (let y = 0; y < image.height; y++) data.subarray(y * image.width, (y + 1) * image.width).reverse();
      return { ...image, data };
    };
    fc.assert(
      fc.property(
        fc.constantFrom<Filter>("bilinear", "hamming", "bicubic", "lanczos"),
        edge,
        edge,
        edge,
        fc.integer(),
        (filter, w, h, w2, seed) => {
          const image = pseudoRandom(w, h, 1, seed);
          const there = resize(mirror(image), w2, h, filter);
          const back = mirror(resize(image, w2, h, filter));
          // Weights are rounded from both sides: one level may differ.
          there.data.forEach((value, i) => expect(Math.abs(value - back.data[i]!)).toBeLessThanOrEqual(1));
        },
      ),
    );
  });

  it("returns an image that has the size already as it is", () => {
    const image = pseudoRandom(4, 3, 3, 1);
    for (const filter of filters) expect(resize(image, 4, 3, filter)).toBe(image);
  });
});
