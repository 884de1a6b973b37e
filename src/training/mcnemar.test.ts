import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mcnemar } from "./mcnemar.ts";

/** Twice the smaller tail of the binomial distribution, with whole numbers. */
function exact(b: number, c: number): number {
  const n = b + c;
  let term = 1n;
  let tail = 0n;
  for (let k = 0; k <= Math.min(b, c); k++) {
    tail += term;
    term = (term * BigInt(n - k)) / BigInt(k + 1);
  }
  return Math.min(1, 2 * Number((tail * 10n ** 15n) / 2n ** BigInt(n)) * 1e-15);
}

describe("mcnemar", () => {
  it("is the exact two-sided test", () => {
    const count = fc.integer({ min: 0, max: 200 });
    fc.assert(
      fc.property(count, count, (b, c) => {
        expect(mcnemar(b, c).p).toBeCloseTo(exact(b, c), 9);
      }),
    );
    expect(mcnemar(0, 0).p).toBe(1);
    expect(mcnemar(5, 0).p).toBeCloseTo(0.0625, 12);
  });

  it("does not lose itself in large numbers", () => {
    expect(mcnemar(20_000, 20_000).p).toBe(1);
    expect(mcnemar(0, 5000).p).toBe(0);
  });
});
