import { describe, expect, it } from "vitest";
import { Limiter } from "./limiter.ts";

describe("Limiter", () => {
  it("runs so many at a time, in order, and goes on after failures", async () => {
    const limiter = new Limiter(2);
    const started: number[] = [];
    let [running, most] = [0, 0];
    const outcomes = await Promise.allSettled(
      [0, 1, 2, 3, 4, 5].map((i) =>
        limiter.run(async () => {
          started.push(i);
          most = Math.max(most, ++running);
          await new Promise(setImmediate);
          running--;
          if (i % 2 === 1) throw new Error(String(i));
          return i;
        }),
      ),
    );
    expect(most).toBe(2);
    expect(started).toEqual([0, 1, 2, 3, 4, 5]);
    expect(outcomes.map((outcome) => outcome.status === "fulfilled")).toEqual([
      true,
      false,
      true,
      false,
      true,
      false,
    ]);
    expect(await limiter.run(() => Promise.resolve("again"))).toBe("again");
  });
});
