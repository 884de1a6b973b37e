import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RunQueue, type QueueLimits } from "./queue.ts";

interface Run {
  readonly name: string;
  readonly client: string;
  readonly bytes: number;
}

const run = (name: string, client = "one", bytes = 1): Run => ({ name, client, bytes });

const make = (limits: Partial<QueueLimits> = {}) => {
  const depths: number[] = [];
  const queue = new RunQueue<Run>({ runs: 100, bytes: Infinity, ...limits }, (depth) => depths.push(depth));
  const takeAll = (): string[] => {
    const names: string[] = [];
    for (let next = queue.takeFirst(); next; next = queue.takeFirst()) names.push(next.name);
    return names;
  };
  return { queue, depths, takeAll };
};

describe("RunQueue", () => {
  it("is first in, first out for one client, and tells every depth", () => {
    const { queue, depths, takeAll } = make();
    for (const name of ["a", "b", "c"]) queue.add(run(name));
    expect(takeAll()).toEqual(["a", "b", "c"]);
    expect(depths).toEqual([1, 2, 3, 2, 1, 0]);
  });

  it("lets clients take turns, whoever sent more", () => {
    const { queue, takeAll } = make();
    for (const name of ["a1", "a2", "a3", "a4"]) queue.add(run(name, "a"));
    for (const name of ["b1", "b2"]) queue.add(run(name, "b"));
    queue.add(run("c1", "c"));
    expect(takeAll()).toEqual(["a1", "b1", "c1", "a2", "b2", "a3", "a4"]);
  });

  it("refuses what is over the limit of runs and takes again once there is room", () => {
    const { queue, takeAll } = make({ runs: 1 });
    expect([queue.add(run("a")), queue.isFullFor(0), queue.add(run("b"))]).toEqual([true, true, false]);
    expect(queue.takeFirst()?.name).toBe("a");
    expect(queue.add(run("c"))).toBe(true);
    expect(takeAll()).toEqual(["c"]);
  });

  it("refuses what is over the limit of bytes, but takes one large run when nothing else waits", () => {
    const { queue } = make({ bytes: 10 });
    expect(queue.add(run("large", "one", 50))).toBe(true);
    expect(queue.add(run("small", "one", 1))).toBe(false);
    queue.takeFirst();
    expect([5, 5, 1].map((bytes) => queue.add(run("x", "one", bytes)))).toEqual([true, true, false]);
  });

  it("puts a run that was accepted before at the head, over the limits too", () => {
    const { queue, takeAll } = make({ runs: 1 });
    queue.add(run("a"));
    queue.addFirst(run("again", "two"));
    expect(takeAll()).toEqual(["again", "a"]);
  });

  it("gives up a run wherever it stands, once", () => {
    const { queue, depths, takeAll } = make();
    const [a, b, c] = [run("a"), run("b"), run("c", "two")];
    for (const each of [a, b, c]) queue.add(each);
    queue.addFirst(b);
    queue.remove(b);
    queue.remove(c);
    queue.remove(c);
    expect(depths).toEqual([1, 2, 3, 4, 3, 2]);
    expect(takeAll()).toEqual(["a", "b"]);
  });

  it("takes what fits from all clients in turn and leaves the rest in order", () => {
    const { queue, takeAll } = make();
    for (const name of ["a1", "a2", "x1", "a3"]) queue.add(run(name, "a"));
    for (const name of ["x2", "b1"]) queue.add(run(name, "b"));
    let room = 3;
    const taken = queue.takeMatching(({ name }) => !name.startsWith("x") && room-- > 0);
    expect(taken.map(({ name }) => name)).toEqual(["a1", "b1", "a2"]);
    expect(queue.depth).toBe(3);
    expect(new Set(takeAll())).toEqual(new Set(["x1", "a3", "x2"]));
  });

  it("loses and doubles nothing, keeps the order of each client, and no client waits for two runs of another", () => {
    const clients = fc.constantFrom("a", "b", "c");
    fc.assert(
      fc.property(fc.array(clients, { maxLength: 40 }), (senders) => {
        const { queue } = make();
        senders.forEach((client, i) => queue.add(run(String(i), client)));
        const left = senders.map((client, i) => run(String(i), client));
        let before: string | undefined;
        for (let taken = queue.takeFirst(); taken; taken = queue.takeFirst()) {
          const first = left.find(({ client }) => client === taken.client)!;
          expect(taken.name).toBe(first.name);
          const others = left.some(({ client }) => client !== before);
          if (others) expect(taken.client).not.toBe(before);
          left.splice(left.indexOf(first), 1);
          before = taken.client;
        }
        expect([left.length, queue.depth]).toEqual([0, 0]);
      }),
    );
  });
});
