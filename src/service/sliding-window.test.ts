import fc from "fast-check";
import { expect, it } from "vitest";
import { SlidingWindow } from "./sliding-window.ts";

it("counts what happened in the window, give or take its last slot", () => {
  const steps = fc.array(fc.tuple(fc.nat(400), fc.nat(5)), { maxLength: 60 });
  fc.assert(
    fc.property(steps, fc.nat(3_000), (given, later) => {
      const window = new SlidingWindow(["samples"], 1_000);
      let now = 12_345;
      const all = given.map(([passed, samples]) => {
        now += passed;
        window.add({ samples }, now);
        return { at: now, samples };
      });
      now += later;
      const sumSince = (from: number): number =>
        all.filter(({ at }) => at > from).reduce((sum, { samples }) => sum + samples, 0);
      const { samples } = window.sums(now);
      expect(samples).toBeLessThanOrEqual(sumSince(now - 1_000 - 1));
      expect(samples).toBeGreaterThanOrEqual(sumSince(now - 1_000 + 50));
    }),
  );
});
