/** The engine under load, at its limits, and when a worker dies. */
import { setTimeout as wait } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { float32 } from "../shared/tensor.ts";
import { toyDetector, toyRepairModel, toySlowModel } from "../test/engine-models.ts";
import type { EngineObserver, InferenceEngine, RunRequest, RunResult } from "./engine.ts";
import { createOrtEngine, type OrtEngineOptions } from "./ort-engine.ts";
import { spawnWorker } from "./spawn-worker.ts";

/** What the engines reported, and their threads in the order they were started. */
let events: string[] = [];
let threads: Worker[] = [];
const observer: EngineObserver = {
  queueDepth: (depth) => events.push(`depth ${depth}`),
  rejected: (reason) => events.push(`rejected ${reason}`),
  workerRestarted: () => events.push("restarted"),
  batch: (samples) => events.push(`batch ${samples}`),
};
const count = (event: string): number => events.filter((other) => other.startsWith(event)).length;

const open: InferenceEngine[] = [];
async function start(options: Partial<OrtEngineOptions> = {}): Promise<InferenceEngine> {
  const engine = await createOrtEngine({
    patched: toySlowModel(),
    folder: ".",
    neutral: toyDetector(),
    workers: 1,
    threads: 1,
    queue: 8,
    observer,
    spawn: (settings) => {
      const thread = spawnWorker(settings);
      threads.push(thread);
      return thread;
    },
    ...options,
  });
  open.push(engine);
  return engine;
}

beforeEach(() => {
  events = [];
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((engine) => engine.close()));
  threads = [];
});

/** A run of one sample that takes about `rounds` × 0.4 ms on the slow model, and returns what it was given. */
const run = (rounds: number, rest: Partial<RunRequest> = {}): RunRequest => ({
  inputs: { x: float32([1, 1], [rounds]) },
  batch: 1,
  modes: new Int32Array(1),
  detector: null,
  ...rest,
});

/** Rounds that take about `ms` on this machine now. */
async function roundsFor(engine: InferenceEngine, ms: number): Promise<number> {
  await engine.run(run(1));
  const { inferMs } = await engine.run(run(50));
  return Math.max(1, Math.round((ms / inferMs) * 50));
}

/** How a run ended: its answer, or the code of its error. */
const ending = (result: Promise<RunResult>): Promise<unknown> =>
  result.then(
    ({ outputs }) => outputs["y"]!.data[0],
    (error: Error & { code?: string }) => error.code ?? `no code: ${error.message}`,
  );

/** An uncaught error in the thread, once it has done what it was sent before. */
const crash = (thread: Worker): void => thread.postMessage({ kind: "nonsense" });

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
    const engine = await start();
    const rounds = await roundsFor(engine, 1000);
    let inferMs = 0;
    expect(await longestLag(async () => ({ inferMs } = await engine.run(run(rounds))))).toBeLessThan(50);
    expect(inferMs).toBeGreaterThan(400);
  });
});

describe("the queue", () => {
  let engine: InferenceEngine;
  let rounds: number;
  beforeAll(async () => {
    engine = await start({ queue: 3 });
    open.pop();
    rounds = await roundsFor(engine, 300);
  });
  afterAll(() => engine.close());

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
    expect(events).toEqual([
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
    expect(events.filter((event) => event.startsWith("rejected"))).toEqual([
      "rejected cancelled",
      "rejected deadline",
    ]);
    expect(count("batch")).toBe(2);
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
    expect(count("rejected")).toBe(0);
  });

  it("takes no run that is late, or whose caller has gone already", async () => {
    expect(await ending(engine.run(run(1), { deadline: performance.now() - 1 }))).toBe("ATPATCH_DEADLINE");
    expect(await ending(engine.run(run(1), { signal: AbortSignal.abort() }))).toBe("ATPATCH_DEADLINE");
    expect(events).toEqual(["rejected deadline", "rejected cancelled"]);
  });
});

describe("a run that names no deadline", () => {
  it("has the engine's", async () => {
    const engine = await start({ deadlineMs: 100 });
    const rounds = await roundsFor(engine, 400);
    expect(await ending(engine.run(run(rounds)))).toBe("ATPATCH_DEADLINE");
    expect(await ending(engine.run(run(1), { deadline: performance.now() + 30_000 }))).toBe(1);
  });
});

describe("a worker that dies", () => {
  it("is replaced and its run retried, after an uncaught error as after a terminated thread", async () => {
    const engine = await start();
    await engine.publish("a", toyDetector({ offset: 1000 }));
    for (const kill of [crash, (thread: Worker): void => void thread.terminate()]) {
      events = [];
      const first = ending(engine.run(run(1, { detector: "a" })));
      const second = ending(engine.run(run(2, { detector: "a" })));
      kill(threads.at(-1)!);
      // The replacement has the detector before its first run.
      expect(await first).toBe(1001);
      expect(await second).toBe(1002);
      expect(count("restarted")).toBe(1);
    }
    expect(threads).toHaveLength(3);
    expect(engine.ready).toBe(true);
  });

  it("fails its run at the second death, and serves the next", async () => {
    const engine = await start();
    const fate = ending(engine.run(run(5)));
    const next = ending(engine.run(run(6)));
    crash(threads[0]!);
    while (threads.length < 2) await wait(1);
    expect(engine.ready).toBe(false);
    // Waits in the thread's port while it starts, ahead of the run that is retried.
    crash(threads[1]!);
    expect(await fate).toBe("ATPATCH_INTERNAL");
    expect(await next).toBe(6);
    expect(threads).toHaveLength(3);
  });

  it("is reported as not ready while no worker can start, until one can", async () => {
    let broken = false;
    const engine = await start({
      spawn: (settings) => {
        const thread = spawnWorker({ ...settings, model: broken ? new Uint8Array(8) : settings.model });
        threads.push(thread);
        return thread;
      },
    });
    broken = true;
    const running = ending(engine.run(run(5)));
    const waiting = ending(engine.run(run(6)));
    crash(threads[0]!);
    expect([await running, await waiting]).toEqual(["ATPATCH_NOT_READY", "ATPATCH_NOT_READY"]);
    expect(engine.ready).toBe(false);
    const refused = ending(engine.run(run(5)));
    expect(engine.queued).toBe(0);
    expect(await refused).toBe("ATPATCH_NOT_READY");
    broken = false;
    while (!engine.ready) await wait(5);
    expect(await ending(engine.run(run(5)))).toBe(5);
  });
});

describe("publishing and retiring under load", () => {
  it("fails no run, and every answer is made with the detector its run named", async () => {
    const engine = await start({ patched: toyRepairModel(), workers: 2, queue: 100 });
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
      if (next === 50) crash(threads[0]!);
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
    const engine = await start();
    const settled: unknown[] = [];
    for (const rounds of [200, 1, 2])
      void ending(engine.run(run(rounds))).then((value) => settled.push(value));
    const exit = new Promise((resolve) => threads[0]!.once("exit", resolve));
    const closed = engine.close();
    expect(engine.ready).toBe(false);
    expect(await ending(engine.run(run(1)))).toBe("ATPATCH_NOT_READY");
    expect(count("rejected draining")).toBe(1);
    await Promise.all([closed, engine.close()]);
    expect(settled).toEqual([200, 1, 2]);
    expect(await exit).toBe(0);
    expect(count("restarted")).toBe(0);
  });

  it("retries a run whose worker dies while the engine drains", async () => {
    const engine = await start();
    const accepted = ending(engine.run(run(7)));
    crash(threads[0]!);
    const closed = engine.close();
    expect(await accepted).toBe(7);
    await closed;
  });
});
