/** The engine under load and at its limits. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { EngineHarness, crash, ending, roundsFor, run } from "../test/engine-harness.ts";
import { toyDetector, toyRepairModel } from "../test/engine-models.ts";
import type { InferenceEngine } from "./engine.ts";

const harness = new EngineHarness();
beforeEach(() => harness.forget());
afterEach(() => harness.close());

/** The longest time in ms that a 5 ms timer fired late while `work` went on. */
async function longestLag(work: () => Promise<unknown>): Promise<number> {
  let longest = 0;
  let last = performance.now();
  const tick = (): void => {
    const now = performance.now();
    longest = Math.max(longest, now - last - 5);
    last = now;
  };
  const timer = setInterval(tick, 5);
  await work();
  clearInterval(timer);
  tick();
  return longest;
}

describe("the event loop", () => {
  // Retried, since a busy machine may stop this very thread; a loop that waits for the run fails every time.
  it("never waits for a run", { retry: 2 }, async () => {
    const engine = await harness.start();
    const rounds = await roundsFor(engine, 1000);
    let inferMs = 0;
    expect(await longestLag(async () => ({ inferMs } = await engine.run(run(rounds))))).toBeLessThan(50);
    expect(inferMs).toBeGreaterThan(400);
  });
});

describe("the queue", () => {
  const shared = new EngineHarness();
  let engine: InferenceEngine;
  let rounds: number;
  beforeAll(async () => {
    engine = await shared.start({ queue: 3 });
    rounds = await roundsFor(engine, 300);
  });
  beforeEach(() => shared.forget());
  afterAll(() => shared.close());

  it("runs in the order of arrival and rejects at once what is over its limit", async () => {
    const order: number[] = [];
    const long = Math.ceil(rounds / 3);
    const runs = [0, 1, 2, 3].map((more) =>
      ending(engine.run(run(long + more))).finally(() => order.push(more)),
    );
    expect(engine.queued).toBe(3);
    const asked = performance.now();
    expect(await ending(engine.run(run(1)))).toBe("ATPATCH_QUEUE_FULL");
    expect(performance.now() - asked).toBeLessThan(50);
    expect(await Promise.all(runs)).toEqual([long, long + 1, long + 2, long + 3]);
    expect(order).toEqual([0, 1, 2, 3]);
    expect(engine.queued).toBe(0);
    expect(shared.events).toEqual([
      "batch 1",
      "depth 1",
      "depth 2",
      "depth 3",
      "rejected queue_full",
      "depth 2",
      "batch 1",
      "depth 1",
      "batch 1",
      "depth 0",
      "batch 1",
    ]);
  });

  it("drops a waiting run at its deadline, and one whose caller has gone", async () => {
    const begun = performance.now();
    const running = ending(engine.run(run(rounds)));
    const late = ending(engine.run(run(1), { deadline: begun + 50 }));
    const caller = new AbortController();
    const gone = ending(engine.run(run(1), { signal: caller.signal }));
    const kept = ending(engine.run(run(2)));
    expect(engine.queued).toBe(3);
    caller.abort();
    expect(await gone).toBe("ATPATCH_DEADLINE");
    expect(engine.queued).toBe(2);
    expect(await late).toBe("ATPATCH_DEADLINE");
    expect(engine.queued).toBe(1);
    expect(await running).toBe(rounds);
    expect(await kept).toBe(2);
    expect(shared.events.filter((event) => event.startsWith("rejected"))).toEqual([
      "rejected cancelled",
      "rejected deadline",
    ]);
    expect(shared.count("batch")).toBe(2);
  });

  it("answers a started run at its deadline, but lets it end first", async () => {
    expect(await ending(engine.run(run(rounds), { deadline: performance.now() + 50 }))).toBe(
      "ATPATCH_DEADLINE",
    );
    const next = ending(engine.run(run(3)));
    expect(engine.queued).toBe(1);
    expect(await next).toBe(3);
  });

  it("does not interrupt a started run whose caller goes", async () => {
    const caller = new AbortController();
    const started = ending(engine.run(run(4), { signal: caller.signal }));
    caller.abort();
    expect(await started).toBe(4);
    expect(shared.count("rejected")).toBe(0);
  });

  it("takes no run that is late, or whose caller has gone already", async () => {
    expect(await ending(engine.run(run(1), { deadline: performance.now() - 1 }))).toBe("ATPATCH_DEADLINE");
    expect(await ending(engine.run(run(1), { signal: AbortSignal.abort() }))).toBe("ATPATCH_DEADLINE");
    expect(shared.events).toEqual(["rejected deadline", "rejected cancelled"]);
  });
});

describe("a run that names no deadline", () => {
  it("has the engine's", async () => {
    const engine = await harness.start({ deadlineMs: 100 });
    const rounds = await roundsFor(engine, 400);
    expect(await ending(engine.run(run(rounds)))).toBe("ATPATCH_DEADLINE");
    expect(await ending(engine.run(run(1), { deadline: performance.now() + 30_000 }))).toBe(1);
  });
});

describe("publishing and retiring under load", () => {
  it("fails no run, and every answer is made with the detector its run named", async () => {
    const engine = await harness.start({ patched: toyRepairModel(), workers: 2, queue: 100 });
    await engine.publish("d0", toyDetector({ offset: 0 }));
    let current = 0;
    const swaps = new AbortController();
    const answers: { readonly named: number; readonly value: unknown }[] = [];
    const client = async (): Promise<void> => {
      while (!swaps.signal.aborted) {
        const named = current;
        const value = await ending(engine.run(run(0, { detector: `d${named}` })));
        answers.push({ named, value });
      }
    };
    const clients = Array.from({ length: 8 }, client);
    const retired: Promise<void>[] = [];
    for (let next = 1; next <= 100; next++) {
      await engine.publish(`d${next}`, toyDetector({ offset: next * 1000 }));
      current = next;
      retired.push(engine.retire(`d${next - 1}`));
      if (next === 50) crash(harness.threads[0]!);
      // Publishing waits for no run; the clients need their share of the time, on a busy machine as well.
      do await sleep(1);
      while (answers.length < 2 * next);
    }
    swaps.abort();
    await Promise.all([...clients, ...retired]);
    expect(answers.filter(({ named, value }) => value !== named * 1000)).toEqual([]);
    expect(answers.length).toBeGreaterThan(100);
    await expect(engine.run(run(0, { detector: "d99" }))).rejects.toThrow("d99 is not published");
  });
});

describe("closing", () => {
  it("finishes what was accepted, takes nothing new and ends the threads, once", async () => {
    const engine = await harness.start();
    const settled: unknown[] = [];
    for (const rounds of [200, 1, 2])
      void ending(engine.run(run(rounds))).then((value) => settled.push(value));
    const exit = new Promise((resolve) => harness.threads[0]!.once("exit", resolve));
    const closed = engine.close();
    expect(engine.ready).toBe(false);
    expect(await ending(engine.run(run(1)))).toBe("ATPATCH_NOT_READY");
    expect(harness.count("rejected draining")).toBe(1);
    await Promise.all([closed, engine.close()]);
    expect(settled).toEqual([200, 1, 2]);
    expect(await exit).toBe(0);
    expect(harness.count("restarted")).toBe(0);
  });
});
