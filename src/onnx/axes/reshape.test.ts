import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AtomTable, axisKey, axisSize, type Axis } from "./atom.ts";
import { reshapeAxes } from "./reshape.ts";
import { number, sizeOfAxis } from "./size.ts";

const fail = (): Axis => {
  throw new Error("an axis was lost");
};

/** Cuts a list of prime factors into axes. */
const shape = fc
  .array(fc.constantFrom(2, 3, 5), { minLength: 1, maxLength: 6 })
  .chain((primes) => fc.tuple(fc.constant(primes), cuts(primes.length), cuts(primes.length)));

function cuts(length: number): fc.Arbitrary<number[]> {
  return fc
    .subarray(Array.from({ length: length - 1 }, (_, i) => i + 1))
    .map((inner) => [0, ...inner, length]);
}

function dimsOf(primes: readonly number[], at: readonly number[]): number[] {
  return at.slice(1).map((end, i) => primes.slice(at[i], end).reduce((a, b) => a * b, 1));
}

describe("reshapeAxes", () => {
  it("keeps sizes, and a reshape back gives the same axes again", () => {
    fc.assert(
      fc.property(shape, fc.boolean(), ([primes, from, to], infer) => {
        const table = new AtomTable();
        const input = dimsOf(primes, from).map((dim, i) => table.axis(`a${i}`, dim, false));
        const target = dimsOf(primes, to);
        const asked = target.map((dim, i) => number(infer && i === 0 ? -1 : dim));
        const output = reshapeAxes(table, input, asked, false, fail);
        expect(output.map(axisSize)).toEqual(target);
        const back = reshapeAxes(table, output, dimsOf(primes, from).map(number), false, fail);
        expect(back.map(axisKey)).toEqual(input.map(axisKey));
      }),
    );
  });

  it("folds heads into the batch and takes them out again, sizes unknown", () => {
    const table = new AtomTable();
    const [batch, tokens, heads, width] = [
      table.axis("batch", null, false),
      table.axis("tokens", null, false),
      table.axis("heads", 4, true),
      table.axis("width", 8, true),
    ];
    const folded = reshapeAxes(
      table,
      [batch, heads, tokens, width],
      [number(-1), sizeOfAxis(tokens), number(8)],
      false,
      fail,
    );
    expect(folded.map(axisKey)).toEqual(["batch*heads", "tokens", "width"]);
    const apart = reshapeAxes(
      table,
      folded,
      [sizeOfAxis(batch), number(4), number(-1), number(8)],
      false,
      fail,
    );
    expect(apart.map(axisKey)).toEqual(["batch", "heads", "tokens", "width"]);
  });

  it("says which axis cannot be traced", () => {
    const table = new AtomTable();
    const input = [table.axis("a", 6, false), table.axis("b", 5, false)];
    const output = reshapeAxes(table, input, [number(10), number(3)], false, (i, size) =>
      table.axis(`new${i}`, size, false),
    );
    expect(output.map(axisKey)).toContain("new0");
  });
});
