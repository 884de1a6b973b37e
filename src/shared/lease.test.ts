import { describe, expect, it } from "vitest";
import { LeaseCounter } from "./lease.ts";

describe("lease counter", () => {
  it("tells once when the last lease has gone, and again after it was busy again", () => {
    let idle = 0;
    const counter = new LeaseCounter(() => (idle += 1));
    const [a, b] = [counter.lease("a"), counter.lease("b")];
    expect([a.value, b.value, counter.count]).toEqual(["a", "b", 2]);
    a.release();
    expect([counter.count, idle]).toEqual([1, 0]);
    b.release();
    expect([counter.count, idle]).toEqual([0, 1]);
    counter.lease("c").release();
    expect(idle).toBe(2);
  });

  it("counts a lease once, however often it is released", () => {
    let idle = 0;
    const counter = new LeaseCounter(() => (idle += 1));
    const [a, b] = [counter.lease(1), counter.lease(2)];
    a.release();
    a.release();
    expect([counter.count, idle]).toEqual([1, 0]);
    b.release();
    b.release();
    expect([counter.count, idle]).toEqual([0, 1]);
  });
});
