import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ddmin } from "./ddmin.ts";

/** Runs the generator against a property and counts the candidates. */
function minimise(items: readonly number[], holds: (set: readonly number[]) => boolean) {
  const search = ddmin(items);
  let [step, tried] = [search.next(), 0];
  while (!step.done) {
    tried += step.value.length;
    expect(step.value.every((candidate) => candidate.length > 0)).toBe(true);
    step = search.next(step.value.map(holds));
  }
  return { found: step.value, tried };
}

const itemsAnd = fc
  .integer({ min: 1, max: 12 })
  .chain((n) =>
    fc.tuple(fc.constant(Array.from({ length: n }, (_, i) => i)), fc.array(fc.nat(n - 1), { minLength: 1 })),
  );

describe("ddmin", () => {
  it("finds exactly the needed columns of a monotone property", () => {
    fc.assert(
      fc.property(itemsAnd, ([items, wanted]) => {
        const needed = new Set(wanted);
        const { found } = minimise(items, (set) => [...needed].every((item) => set.includes(item)));
        expect(found).toEqual([...needed].sort((a, b) => a - b));
      }),
    );
  });

  it("is 1-minimal and keeps the property, monotone or not, against a brute-force oracle", () => {
    fc.assert(
      fc.property(
        itemsAnd,
        fc.array(fc.integer({ min: 0, max: 4095 }), { maxLength: 200 }),
        ([items], masks) => {
          const good = new Set(masks.map((mask) => mask & ((1 << items.length) - 1)));
          const mask = (set: readonly number[]): number => set.reduce((bits, item) => bits | (1 << item), 0);
          const holds = (set: readonly number[]): boolean =>
            set.length === items.length || good.has(mask(set));
          const { found } = minimise(items, holds);
          expect(holds(found)).toBe(true);
          for (const left of found.length > 1 ? found : []) {
            expect(holds(found.filter((item) => item !== left))).toBe(false);
          }
        },
      ),
    );
  });

  it("finds one of the smallest sets when either of two columns suffices", () => {
    const { found, tried } = minimise([4, 5, 6, 7], (set) => set.includes(5) || set.includes(6));
    expect(found).toHaveLength(1);
    expect(tried).toBeLessThanOrEqual(4);
  });
});
