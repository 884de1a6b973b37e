import { describe, expect, it } from "vitest";
import { Random } from "./random.ts";

describe("Random", () => {
  it("repeats itself by seed and stream, and differs between streams", () => {
    const draw = (seed: number, stream: string) => {
      const random = new Random(seed, stream);
      return Array.from({ length: 8 }, () => random.bits());
    };
    expect(draw(3, "split")).toEqual(draw(3, "split"));
    expect(draw(3, "split")).not.toEqual(draw(3, "fit"));
    expect(draw(3, "split")).not.toEqual(draw(4, "split"));
  });

  it("is uniform: mean, variance and every tenth are right within five standard errors", () => {
    const random = new Random(0, "uniform");
    const draws = Array.from({ length: 100_000 }, () => random.uniform());
    const mean = draws.reduce((sum, x) => sum + x, 0) / draws.length;
    const variance = draws.reduce((sum, x) => sum + (x - mean) ** 2, 0) / draws.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(5 * Math.sqrt(1 / 12 / draws.length));
    expect(Math.abs(variance - 1 / 12)).toBeLessThan(5 * Math.sqrt(1 / 180 / draws.length));
    for (let tenth = 0; tenth < 10; tenth++) {
      const count = draws.filter((x) => Math.floor(x * 10) === tenth).length;
      expect(Math.abs(count - 10_000)).toBeLessThan(5 * Math.sqrt(9000));
    }
  });

  it("shuffles without losing anything and reaches every order", () => {
    const random = new Random(1, "shuffle");
    const orders = new Set(Array.from({ length: 500 }, () => random.shuffled([1, 2, 3]).join("")));
    expect([...orders].sort()).toEqual(["123", "132", "213", "231", "312", "321"]);
  });
});
