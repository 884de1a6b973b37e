import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { windowRounds } from "./key-windows.ts";
import { searchColumns, type Trial } from "./search-columns.ts";

const layout = { kind: "sequence", firstKey: 0 } as const;
const columns = Array.from({ length: 12 }, (_, i) => i);

function run(trial: (set: readonly number[]) => Trial) {
  const search = searchColumns(windowRounds(layout, columns));
  const rounds: number[][][] = [];
  let step = search.next();
  while (!step.done) {
    rounds.push(step.value);
    step = search.next(step.value.map(trial));
  }
  return { found: step.value, rounds };
}

describe("searchColumns", () => {
  it("finds exactly the columns that are needed together, when they fit in a window", () => {
    fc.assert(
      fc.property(fc.nat(11), fc.uniqueArray(fc.nat(7), { minLength: 1, maxLength: 8 }), (start, offsets) => {
        const needed = offsets.map((offset) => start + offset).filter((column) => column < 12);
        fc.pre(needed.length > 0);
        const trial = (set: readonly number[]): Trial => {
          const flips = needed.every((column) => set.includes(column));
          return { flips, margin: flips ? -1 : 3 };
        };
        const { found, rounds } = run(trial);
        expect(found.columns).toEqual(needed.toSorted((a, b) => a - b));
        expect(found.marginAfter).toBe(-1);
        expect(found.passes).toBe(rounds.flat().length);
        // The widest window tried first is as short as the needed span.
        const span = Math.max(...needed) - Math.min(...needed) + 1;
        expect(rounds.slice(0, span).map((round) => round[0]!.length)).toEqual(
          Array.from({ length: span }, (_, i) => i + 1),
        );
      }),
    );
  });

  it("takes the window of the smallest size with the lowest margin, and never everything at once", () => {
    const { found, rounds } = run((set) => {
      const weak = set.includes(2);
      const strong = set.includes(9);
      return { flips: weak || strong, margin: strong ? -5 : weak ? -1 : 2 };
    });
    expect(found).toEqual({ columns: [9], marginAfter: -5, passes: 12 });
    expect(rounds.flat().some((set) => set.length === 12)).toBe(false);
  });

  it("says so when no window changes the answer", () => {
    const { found, rounds } = run(() => ({ flips: false, margin: 1 }));
    expect(found).toEqual({ columns: [], marginAfter: null, passes: rounds.flat().length });
  });
});
