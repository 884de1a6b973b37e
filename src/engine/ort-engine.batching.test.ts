/** Requests that wait together run together, and nobody notices but by the time. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EngineHarness, crash, ending, run } from "../test/engine-harness.ts";
import { toyDetector, toyRepairModel, toyTotalModel } from "../test/engine-models.ts";
import { modeCodes } from "../shared/patched-model.ts";
import { float32 } from "../shared/tensor.ts";
import type { RunRequest } from "./engine.ts";

const harness = new EngineHarness();
beforeEach(() => harness.forget());
afterEach(() => harness.close());

const batching = { samples: 8, fillMs: 1000 };

/** One sample on the repair model. */
const sample = (x: readonly number[], rest: Partial<RunRequest> = {}): RunRequest => ({
  inputs: { x: float32([1, x.length], x) },
  batch: 1,
  modes: Int32Array.of(modeCodes.enforce),
  detector: null,
  ...rest,
});

const batches = (): string[] => harness.events.filter((event) => event.startsWith("batch"));

describe("waiting requests", () => {
  it("share a run once their shape is known, and each gets its own answer", async () => {
    const engine = await harness.start({ patched: toyRepairModel(), batching });
    await engine.publish("above 5", toyDetector({ first: 5 }));
    await engine.run(sample([0, 0], { detector: "above 5" }));
    harness.forget();
    const modes = [modeCodes.off, modeCodes.observe, modeCodes.enforce, modeCodes.enforce];
    const results = await Promise.all(
      modes.map((mode, i) =>
        engine.run(sample([1, i === 3 ? 1 : 9], { detector: "above 5", modes: Int32Array.of(mode) })),
      ),
    );
    expect(batches()).toEqual(["batch 1", "batch 3"]);
    const alone = await Promise.all(
      modes.map(async (mode, i) => {
        const other = await harness.start({ patched: toyRepairModel() });
        await other.publish("above 5", toyDetector({ first: 5 }));
        return other.run(sample([1, i === 3 ? 1 : 9], { detector: "above 5", modes: Int32Array.of(mode) }));
      }),
    );
    expect(results.map(({ outputs, flags }) => ({ outputs, flags }))).toEqual(
      alone.map(({ outputs, flags }) => ({ outputs, flags })),
    );
  });

  it("never share a run across detectors or shapes", async () => {
    const engine = await harness.start({ patched: toyRepairModel(), batching });
    await engine.publish("by 1000", toyDetector({ offset: 1000 }));
    const requests = [sample([1]), sample([1], { detector: "by 1000" }), sample([1, 2])];
    for (const request of requests) await engine.run(request);
    harness.forget();
    const results = await Promise.all([...requests, ...requests].map((request) => engine.run(request)));
    expect(results.map(({ outputs }) => [...outputs["y"]!.data])).toEqual([
      [101],
      [1101],
      [101, 202],
      [101],
      [1101],
      [101, 202],
    ]);
    expect(batches()).toEqual(["batch 1", "batch 2", "batch 2", "batch 1"]);
  });

  it("do not fail by what others sent: a bad one is found by running each alone", async () => {
    const engine = await harness.start({ patched: toyTotalModel(), batching });
    await engine.run(sample([1]));
    harness.forget();
    const results = await Promise.all([1, 2, 3].map((x) => engine.run(sample([x]))));
    // The total belongs to no sample, so the joined run is thrown away.
    expect(results.map(({ outputs }) => outputs["total"]!.data[0])).toEqual([101, 202, 303]);
    expect(batches()).toEqual(["batch 1", "batch 2", "batch 1", "batch 1"]);
    harness.forget();
    await Promise.all([1, 2, 3].map((x) => engine.run(sample([x]))));
    expect(batches()).toEqual(["batch 1", "batch 1", "batch 1"]);
  });

  it("are run alone after the worker died under them, and all are answered", async () => {
    const engine = await harness.start({ batching });
    await engine.run(run(1));
    const answers = [200, 2, 3].map((rounds) => ending(engine.run(run(rounds))));
    crash(harness.threads[0]!);
    expect(await Promise.all(answers)).toEqual([200, 2, 3]);
  });

  it("stay runs of their own when the samples of the model depend on each other", async () => {
    const patched = toyRepairModel();
    const coupled = { ...patched, description: { ...patched.description, independent: false } };
    const engine = await harness.start({ patched: coupled, batching });
    await engine.run(sample([1]));
    harness.forget();
    await Promise.all([1, 2, 3].map((x) => engine.run(sample([x]))));
    expect(batches()).toEqual(["batch 1", "batch 1", "batch 1"]);
  });
});
