import { describe, expect, it } from "vitest";
import { isTriggered } from "./triggered.ts";

const axis = (keys: number, ...firstSite: number[]) => ({ keys, firstSite: Int32Array.from(firstSite) });

describe("isTriggered", () => {
  it("looks at the sample's own columns, on every axis", () => {
    const run = { flags: [axis(2, 0, 0, 0, 1), axis(1, 3, 0)] };
    expect([0, 1].map((sample) => isTriggered(run, sample))).toEqual([true, true]);
    expect(isTriggered({ flags: [axis(2, 0, 0, 0, 1)] }, 0)).toBe(false);
  });

  it("does not count columns that are repaired in every sample", () => {
    const run = { flags: [axis(3, 0, 1, 0, 0, 1, 2)], forced: [1] };
    expect([0, 1].map((sample) => isTriggered(run, sample))).toEqual([false, true]);
  });
});
