/** The engine under load, at its limits, and when a worker dies. */
import { setTimeout as wait } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { float32 } from "../shared/tensor.ts";
import { toyDetector, toyRepairModel, toySlowModel } from "../test/engine-models.ts";
import type { EngineObserver, InferenceEngine, RunRequest } from "./engine.ts";
import { createOrtEngine, type OrtEngineOptions } from "./ort-engine.ts";
import { spawnWorker } from "./spawn-worker.ts";

/** Everything an engine reported, and its threads in the order they were started. */
interface Log extends Required<EngineObserver> {
  readonly events: string[];
  readonly threads: Worker[];
}

let log: Log;
let engine: InferenceEngine | undefined;

async function start(options: Partial<OrtEngineOptions> = {}): Promise<InferenceEngine> {
  engine = await createOrtEngine({
    patched: toySlowModel(),
    folder: ".",
    neutral: toyDetector(),
    workers: 1,
    threads: 1,
    queue: 8,
    observer: log,
    spawn: (settings) => {
      const thread = spawnWorker(settings);
      log.threads.push(thread);
      return thread;
    },
    ...options,
  });
  return engine;
}

beforeEach(() => {
  const events: string[] = [];
  log = {
    events,
    threads: [],
    queueDepth: (depth) => events.push(`depth ${depth}`),
    rejected: (reason) => events.push(`rejected ${reason}`),
    workerRestarted: () => events.push("restarted"),
    batch: (samples) => events.push(`batch ${samples}`),
    rechecked: (samples) => events.push(`rechecked ${samples}`),
  };
});
afterEach(() => engine?.close());

/** A run of one sample that takes about `rounds` × 0.4 ms on the slow model, and returns what it was given. */
const run = (rounds: number, rest: Partial<RunRequest> = {}): RunRequest => ({
  inputs: { x: float32([1, 1], [rounds]) },
  batch: 1,
  modes: new Int32Array(1),
  detector: null,
  ...rest,
});

/** Rounds that take about `ms` on this machine now. */
async function roundsFor(on: InferenceEngine, ms: number): Promise<number> {
  await on.run(run(1));
  const { inferMs } = await on.run(run(50));
  return Math.max(1, Math.round((ms / inferMs) * 50));
}

/** How a promise ended: the value, or the code of the error. */
const ending = (promise: Promise<{ outputs: Readonly<Record<string, { data: ArrayLike<unknown> }>> }>) =>
  promise.then(
    ({ outputs }) => outputs["y"]!.data[0],
    (error: Error & { code?: string }) => error.code ?? `no code: ${error.message}`,
  );

describe("the event loop", () => {
  it("never waits for a run, nor for a worker that starts", async () => {
    const lags: number[] = [];
    let last = performance.now();
    const timer = setInterval(() => {
      const now = performance.now();
      lags.push(now - last - 5);
      last = now;
    }, 5);
    const slow = await start({ workers: 2 });
    const rounds = await roundsFor(slow, 1000);
    lags.length = 0;
    const begun = performance.now();
    const { inferMs } = await slow.run(run(rounds));
    clearInterval(timer);
    expect(performance.now() - begun).toBeGreaterThan(500);
    expect(inferMs).toBeGreaterThan(500);
    expect(lags.length).toBeGreaterThan(50);
    expect(Math.max(...lags)).toBeLessThan(50);
  });
});

describe("the queue", () => {
  it("runs in the order of arrival and rejects at once what is over its limit", async () => {
    const slow = await start({ queue: 2 });
    const rounds = await roundsFor(slow, 100);
    log.events.length = 0;
    const order: number[] = [];
    const runs = [0, 1, 2].map((more) =>
      ending(slow.run(run(rounds + more))).then((value) => (order.push(more), value)),
    );
    expect(slow.queued).toBe(2);
    const refused = performance.now();
    expect(await ending(slow.run(run(1)))).toBe("ATPATCH_QUEUE_FULL");
    expect(performance.now() - refused).toBeLessThan(50);
    expect(await Promise.all(runs)).toEqual([rounds, rounds + 1, rounds + 2]);
    expect(order).toEqual([0, 1, 2]);
    expect(slow.queued).toBe(0);
    expect(log.events).toEqual([
      "batch 1",
      "depth 1",
      "depth 2",
      "rejected queue_full",
      "depth 1",
      "batch 1",
      "depth 0",
      "batch 1",
    ]);
  });

  it("drops a waiting run at its deadline, and one whose caller has gone", async () => {
    const slow = await start();
    const rounds = await roundsFor(slow, 400);
    log.events.length = 0;
    const begun = performance.now();
    const running = ending(slow.run(run(rounds)));
    const late = ending(slow.run(run(1), { deadline: begun + 50 }));
    const caller = new AbortController();
    const gone = ending(slow.run(run(1), { signal: caller.signal }));
    const kept = ending(slow.run(run(2)));
    expect(slow.queued).toBe(3);
    caller.abort();
    expect(await gone).toBe("ATPATCH_DEADLINE");
    expect(slow.queued).toBe(2);
    expect(await late).toBe("ATPATCH_DEADLINE");
    expect(performance.now() - begun).toBeLessThan(300);
    expect(slow.queued).toBe(1);
    expect(await running).toBe(rounds);
    expect(await kept).toBe(2);
    expect(log.events.filter((event) => event.startsWith("rejected"))).toEqual([
      "rejected cancelled",
      "rejected deadline",
    ]);
    expect(log.events.filter((event) => event.startsWith("batch"))).toHaveLength(2);
  });

  it("answers a started run at its deadline, but lets it end; a caller who leaves then changes nothing", async () => {
    const slow = await start({ deadlineMs: 60 });
    const rounds = await roundsFor(slow, 300);
    const begun = performance.now();
    expect(await ending(slow.run(run(rounds)))).toBe("ATPATCH_DEADLINE");
    expect(performance.now() - begun).toBeLessThan(200);
    // The worker is busy still: this one waits for it, with a deadline of its own.
    const caller = new AbortController();
    const next = slow.run(run(3), { deadline: begun + 5000, signal: caller.signal });
    expect(slow.queued).toBe(1);
    expect(await ending(next)).toBe(3);
    const started = slow.run(run(4), { signal: caller.signal });
    caller.abort();
    expect(await ending(started)).toBe(4);
    expect(log.events.filter((event) => event.startsWith("rejected"))).toEqual(["rejected deadline"]);
  });

  it("takes no run that is late or whose caller has gone already", async () => {
    const slow = await start();
    expect(await ending(slow.run(run(1), { deadline: performance.now() - 1 }))).toBe("ATPATCH_DEADLINE");
    expect(await ending(slow.run(run(1), { signal: AbortSignal.abort() }))).toBe("ATPATCH_DEADLINE");
    expect(log.events).toEqual(["rejected deadline", "rejected cancelled"]);
  });
});

describe("a worker that dies", () => {
  it("is replaced, and its run retried, by an uncaught error or a terminated thread", async () => {
    const slow = await start({ patched: toySlowModel() });
    await slow.publish("a", toyDetector({ offset: 1000 }));
    for (const kill of [
      (thread: Worker): void => thread.postMessage({ kind: "nonsense" }),
      (thread: Worker): void => void thread.terminate(),
    ]) {
      log.events.length = 0;
      const [first, second] = [1, 2].map((rounds) => ending(slow.run(run(rounds, { detector: "a" }))));
      kill(log.threads.at(-1)!);
      // The replacement has the detector before its first run.
      expect(await first).toBe(1001);
      expect(await second).toBe(1002);
      expect(log.events.filter((event) => event === "restarted")).toHaveLength(1);
    }
    expect(log.threads).toHaveLength(3);
    expect(slow.ready).toBe(true);
  });

  it("fails its run at the second death, and serves the next", async () => {
    const slow = await start();
    const fate = ending(slow.run(run(5)));
    const next = ending(slow.run(run(6)));
    log.threads[0]!.postMessage({ kind: "nonsense" });
    while (log.threads.length < 2) await wait(1);
    expect(slow.ready).toBe(false);
    // Waits in the port behind the start, ahead of the run that is retried.
    log.threads[1]!.postMessage({ kind: "nonsense" });
    expect(await fate).toBe("ATPATCH_INTERNAL");
    expect(await next).toBe(6);
    expect(log.threads).toHaveLength(3);
  });

  it("is reported as not ready when it cannot start again, until it can", async () => {
    let broken = false;
    const slow = await start({
      spawn: (settings) => {
        const model = broken ? new Uint8Array(8) : settings.model;
        const thread = spawnWorker({ ...settings, model });
        log.threads.push(thread);
        return thread;
      },
    });
    broken = true;
    const waiting = ending(slow.run(run(5)));
    log.threads[0]!.postMessage({ kind: "nonsense" });
    expect(await waiting).toBe("ATPATCH_NOT_READY");
    expect(slow.ready).toBe(false);
    expect(await ending(slow.run(run(5)))).toBe("ATPATCH_NOT_READY");
    broken = false;
    while (!slow.ready) await wait(5);
    expect(await ending(slow.run(run(5)))).toBe(5);
  });
});

describe("publishing and retiring under load", () => {
  it("fails no run, and every answer is made with the detector its run named", async () => {
    const engine = await start({ patched: toyRepairModel(), workers: 2, queue: 100 });
    let current = 0;
    await engine.publish("d0", toyDetector({ offset: 0 }));
    const wrong: unknown[] = [];
    let answered = 0;
    let running = true;
    const client = async (): Promise<void> => {
      while (running) {
        const named = current;
        const value = await ending(engine.run(run(0, { detector: `d${named}` })));
        answered++;
        if (value !== named * 1000) wrong.push([named, value]);
      }
    };
    const clients = Array.from({ length: 8 }, client);
    const retired: Promise<void>[] = [];
    for (let next = 1; next <= 100; next++) {
      await engine.publish(`d${next}`, toyDetector({ offset: next * 1000 }));
      current = next;
      retired.push(engine.retire(`d${next - 1}`));
      if (next === 50) log.threads[0]!.postMessage({ kind: "nonsense" });
    }
    running = false;
    await Promise.all([...clients, ...retired]);
    expect(wrong).toEqual([]);
    expect(answered).toBeGreaterThan(100);
    await expect(engine.run(run(0, { detector: "d99" }))).rejects.toThrow("d99 is not published");
  });
});

describe("closing", () => {
  it("finishes what was accepted, takes nothing new and ends the threads, once", async () => {
    const slow = await start();
    const rounds = await roundsFor(slow, 100);
    const settled: unknown[] = [];
    for (const more of [0, 1, 2]) {
      void ending(slow.run(run(rounds + more))).then((value) => settled.push(value));
    }
    const exits = log.threads.map((thread) => new Promise((resolve) => thread.once("exit", resolve)));
    const closed = slow.close();
    expect(slow.ready).toBe(false);
    expect(await ending(slow.run(run(1)))).toBe("ATPATCH_NOT_READY");
    expect(log.events).toContain("rejected draining");
    await Promise.all([closed, slow.close()]);
    expect(settled).toEqual([rounds, rounds + 1, rounds + 2]);
    expect(await Promise.all(exits)).toEqual([0]);
    expect(log.events).not.toContain("restarted");
  });

  it("retries a run whose worker dies while the engine drains", async () => {
    const slow = await start();
    const accepted = ending(slow.run(run(7)));
    log.threads[0]!.postMessage({ kind: "nonsense" });
    const closed = slow.close();
    expect(await accepted).toBe(7);
    await closed;
  });
});
