import { readdirSync, readFileSync } from "node:fs";
import { getPriority } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { float32, int32 } from "../shared/tensor.ts";
import { toyDetector, toyRepairModel } from "../test/engine-models.ts";
import { packFrame } from "./frame.ts";
import type { RunMessage } from "./protocol.ts";
import { spawnWorker } from "./spawn-worker.ts";
import { WorkerDied, WorkerHandle } from "./worker-handle.ts";

const run = (detector: string): RunMessage => ({
  kind: "run",
  detector,
  batch: 1,
  feeds: packFrame({ x: float32([1, 1], [1]), "atpatch.mode": int32([1], [0]) }),
  outputs: ["y"],
  report: [],
  attention: true,
  recheck: false,
});

describe("WorkerHandle", () => {
  let worker: WorkerHandle;
  beforeAll(async () => {
    const { bytes, description } = toyRepairModel();
    const session = { threads: 1, folder: ".", providers: ["cpu"], graphOptimization: "all" } as const;
    worker = new WorkerHandle(spawnWorker({ model: bytes, description, session }));
    expect(await worker.started).toContain("y");
  });
  afterAll(() => worker.stop());

  it("runs with a detector from its publication to its retirement", async () => {
    worker.publish("a", packFrame({ ...toyDetector({ offset: 1000 }) }));
    expect((await worker.run(run("a"))).outputs["y"]).toEqual(float32([1, 1], [1101]));
    await worker.retire("a");
    await expect(worker.run(run("a"))).rejects.toMatchObject({ code: "ATPATCH_UNKNOWN_DETECTOR" });
  });

  it("takes runs that come before it is done in their order, each with the detector it then has", async () => {
    for (const [name, offset] of [
      ["a", 1000],
      ["b", 2000],
    ] as const) {
      worker.publish(name, packFrame({ ...toyDetector({ offset }) }));
    }
    const order: string[] = [];
    const answers = ["a", "b", "none", "a"].map(async (name, at) => {
      // The second pass of a run must not let the next one in between.
      const answer = worker.run({ ...run(name), recheck: at % 2 === 0 }, () => order.push(`begun ${at}`));
      const value = await answer.then(
        ({ outputs }) => outputs["y"]!.data[0],
        (error: Error) => error.message,
      );
      order.push(`${at}`);
      return value;
    });
    const retired = worker.retire("a").then(() => order.push("retired"));
    expect(await Promise.all(answers)).toEqual([1101, 2101, "detector none is not published", 1101]);
    await retired;
    expect(order.filter((event) => !event.startsWith("begun"))).toEqual(["0", "1", "2", "3", "retired"]);
    expect(order.filter((event) => event.startsWith("begun"))).toEqual(
      ["0", "1", "2", "3"].map((at) => `begun ${at}`),
    );
    // None begins before the one before it has ended: its answer is told a moment later.
    expect(order.indexOf("begun 2")).toBeGreaterThan(order.indexOf("0"));
  });

  it.runIf(process.platform === "linux")("computes behind the event loop", () => {
    const niceness = (thread: string): number =>
      Number(
        readFileSync(`/proc/self/task/${thread}/stat`, "utf8")
          .replace(/^.*\) /, "")
          .split(" ")[16],
      );
    const own = getPriority(0);
    const others = readdirSync("/proc/self/task").map(niceness);
    expect(own).toBeLessThan(Math.max(...others));
  });

  it("ends once, and says so to whoever calls it afterwards", async () => {
    await Promise.all([worker.stop(), worker.stop()]);
    expect((await worker.ended).reason).toBe("exit code 0");
    worker.publish("b", packFrame({ ...toyDetector() }));
    await expect(worker.run(run("b"))).rejects.toThrow(WorkerDied);
  });
});
