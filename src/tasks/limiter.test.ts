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

  it("counts those that had to wait as running", async () => {
    const limiter = new Limiter(1);
    const order: string[] = [];
    const work = (name: string) => async (): Promise<void> => {
      order.push(`${name} begins`);
      await new Promise(setImmediate);
      order.push(`${name} ends`);
    };
    const first = limiter.run(work("first"));
    const waiting = limiter.run(work("waiting"));
    await first;
    await Promise.all([waiting, limiter.run(work("late"))]);
    expect(order).toEqual([
      "first begins",
      "first ends",
      "waiting begins",
      "waiting ends",
      "late begins",
      "late ends",
    ]);
  });
});
