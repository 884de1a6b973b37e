import { describe, expect, it } from "vitest";
import { RunQueue } from "./queue.ts";

const make = (limit: number) => {
  const depths: number[] = [];
  return { queue: new RunQueue<string>(limit, (depth) => depths.push(depth)), depths };
};

describe("RunQueue", () => {
  it("is first in, first out, and tells every depth", () => {
    const { queue, depths } = make(3);
    for (const run of ["a", "b", "c"]) queue.add(run);
    expect([queue.takeFirst(), queue.takeFirst(), queue.takeFirst(), queue.takeFirst()]).toEqual([
      "a",
      "b",
      "c",
      undefined,
    ]);
    expect(depths).toEqual([1, 2, 3, 2, 1, 0]);
  });

  it("refuses what is over the limit and takes again once there is room", () => {
    const { queue } = make(1);
    expect([queue.add("a"), queue.add("b")]).toEqual([true, false]);
    expect(queue.takeFirst()).toBe("a");
    expect(queue.add("c")).toBe(true);
    expect([queue.takeFirst(), queue.takeFirst()]).toEqual(["c", undefined]);
  });

  it("puts a run that was accepted before at the head, over the limit too", () => {
    const { queue } = make(1);
    queue.add("a");
    queue.addFirst("again");
    expect(queue.takeFirst()).toBe("again");
  });

  it("gives up a run in the middle, once", () => {
    const { queue, depths } = make(3);
    for (const run of ["a", "b", "c"]) queue.add(run);
    queue.remove("b");
    queue.remove("b");
    expect(depths).toEqual([1, 2, 3, 2]);
    expect([queue.takeFirst(), queue.takeFirst()]).toEqual(["a", "c"]);
  });
});
