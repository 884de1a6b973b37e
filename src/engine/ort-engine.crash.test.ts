/** The engine when its workers die. */
import { setTimeout as wait } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EngineHarness, crash, ending, run } from "../test/engine-harness.ts";
import { toyDetector } from "../test/engine-models.ts";
import { spawnWorker } from "./spawn-worker.ts";

const harness = new EngineHarness();
beforeEach(() => harness.forget());
afterEach(() => harness.close());

describe("a worker that dies", () => {
  it("is replaced and its run retried, after an uncaught error as after a terminated thread", async () => {
    const engine = await harness.start();
    await engine.publish("a", toyDetector({ offset: 1000 }));
    for (const kill of [crash, (thread: Worker): void => void thread.terminate()]) {
      harness.forget();
      const first = ending(engine.run(run(1, { detector: "a" })));
      const second = ending(engine.run(run(2, { detector: "a" })));
      kill(harness.threads.at(-1)!);
      // The replacement has the detector before its first run.
      expect(await first).toBe(1001);
      expect(await second).toBe(1002);
      expect(harness.count("restarted")).toBe(1);
    }
    expect(harness.events).toContain("restarted: exit code 1");
    expect(harness.threads).toHaveLength(3);
    expect(engine.ready).toBe(true);
  });

  it("fails its run at the second death, and serves the next", async () => {
    const engine = await harness.start();
    const fate = ending(engine.run(run(5)));
    const next = ending(engine.run(run(6)));
    crash(harness.threads[0]!);
    while (harness.threads.length < 2) await wait(1);
    expect(engine.ready).toBe(false);
    // Waits in the thread's port while it starts, ahead of the run that is retried.
    crash(harness.threads[1]!);
    expect(await fate).toBe("ATPATCH_INTERNAL");
    expect(harness.count("restarted: a worker got a message of no known kind")).toBe(2);
    expect(await next).toBe(6);
    expect(harness.threads).toHaveLength(3);
  });

  it("is reported as not ready while no worker can start, until one can", async () => {
    let broken = false;
    const engine = await harness.start({
      spawn: (settings) => spawnWorker({ ...settings, model: broken ? new Uint8Array(8) : settings.model }),
    });
    broken = true;
    const running = ending(engine.run(run(5)));
    const waiting = ending(engine.run(run(6)));
    crash(harness.threads[0]!);
    expect([await running, await waiting]).toEqual(["ATPATCH_NOT_READY", "ATPATCH_NOT_READY"]);
    expect(engine.ready).toBe(false);
    const refused = ending(engine.run(run(5)));
    expect(engine.queued).toBe(0);
    expect(await refused).toBe("ATPATCH_NOT_READY");
    broken = false;
    while (!engine.ready) await wait(5);
    expect(await ending(engine.run(run(5)))).toBe(5);
  });

  it("retries a run whose worker dies while the engine drains", async () => {
    const engine = await harness.start();
    const accepted = ending(engine.run(run(7)));
    crash(harness.threads[0]!);
    const closed = engine.close();
    expect(await accepted).toBe(7);
    await closed;
  });
});
