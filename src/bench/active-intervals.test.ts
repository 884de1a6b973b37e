import { describe, expect, it } from "vitest";
import { ActiveIntervals } from "./active-intervals.ts";

describe("ActiveIntervals", () => {
  it("knows what may have been active during a request", () => {
    const active = new ActiveIntervals();
    active.begin("a", 0);
    active.begin("b", 10);
    active.acknowledge(12);
    active.begin("c", 20);
    active.acknowledge(25);
    const during = (from: number, to: number): string => [...active.during(from, to)].join("");
    expect([during(1, 9), during(1, 11), during(11, 11), during(13, 19)]).toEqual(["a", "ab", "ab", "b"]);
    expect([during(5, 30), during(21, 22), during(26, 90)]).toEqual(["abc", "bc", "c"]);
  });

  it("lets what was active go only when the next one is acknowledged", () => {
    const active = new ActiveIntervals();
    active.begin("a", 0);
    active.begin("b", 10);
    expect([...active.during(50, 60)]).toEqual(["a", "b"]);
  });
});
