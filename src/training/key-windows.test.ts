import { describe, expect, it } from "vitest";
import { windowRounds } from "./key-windows.ts";

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

describe("windowRounds", () => {
  it("slides squares of 1 to 3 over an 8 × 8 grid: 149 candidates", () => {
    const rounds = windowRounds({ kind: "grid", firstKey: 1, rows: 8, columns: 8 }, range(1, 65));
    expect(rounds.map((round) => round.length)).toEqual([64, 49, 36]);
    expect(rounds[1]![0]).toEqual([1, 2, 9, 10]);
    expect(rounds[2]!.at(-1)).toEqual([46, 47, 48, 54, 55, 56, 62, 63, 64]);
    expect(new Set(rounds.flat().map(String)).size).toBe(149);
  });

  it("leaves out squares with a column that may not be forced", () => {
    const rounds = windowRounds({ kind: "grid", firstKey: 1, rows: 2, columns: 3 }, [1, 2, 4, 5, 6]);
    expect(rounds).toEqual([[[1], [2], [4], [5], [6]], [[1, 2, 4, 5]]]);
  });

  it("fits small and narrow grids", () => {
    const rounds = windowRounds({ kind: "grid", firstKey: 2, rows: 2, columns: 5 }, range(2, 12));
    expect(rounds.map((round) => round.length)).toEqual([10, 4]);
  });

  it("takes runs of 1 to 8 tokens, no longer than the text", () => {
    const sequence = { kind: "sequence", firstKey: 1 } as const;
    expect(windowRounds(sequence, range(1, 21)).map((round) => round.length)).toEqual([
      20, 19, 18, 17, 16, 15, 14, 13,
    ]);
    expect(windowRounds(sequence, [3, 4, 5])).toEqual([
      [[3], [4], [5]],
      [
        [3, 4],
        [4, 5],
      ],
      [[3, 4, 5]],
    ]);
    expect(windowRounds(sequence, [])).toEqual([]);
  });

  it("takes single features", () => {
    expect(windowRounds({ kind: "features", firstKey: 0, names: ["a", "b"], protected: [] }, [0, 1])).toEqual(
      [[[0], [1]]],
    );
  });
});
