import { describe, expect, it } from "vitest";
import { givenCompute, largeCompute, openMeasuredEngine } from "./compose-engine.ts";
import { instrument } from "./hotfix/instrument.ts";
import { tinyModel } from "./test/tiny-model.ts";

describe("workers and threads", () => {
  it("are what the operator says, the other number following from the cores", () => {
    const given = (workers: number | null, threads: number | null) => givenCompute({ workers, threads }, 8);
    expect([given(3, 2), given(2, null), given(null, 4), given(16, null), given(null, null)]).toEqual([
      { workers: 3, threads: 2 },
      { workers: 2, threads: 4 },
      { workers: 2, threads: 4 },
      { workers: 16, threads: 1 },
      null,
    ]);
  });

  it("share the cores of a few workers for large models", () => {
    expect([1, 2, 8, 18].map(largeCompute)).toEqual([
      { workers: 1, threads: 1 },
      { workers: 1, threads: 2 },
      { workers: 2, threads: 4 },
      { workers: 4, threads: 4 },
    ]);
  });

  it(
    "are measured where nothing is said: a small model gets one thread a worker",
    { timeout: 60_000 },
    async () => {
      const { engine, compute } = await openMeasuredEngine(
        instrument({ bytes: tinyModel(), name: "model.onnx" }),
        ".",
        { workers: null, threads: null, queue: 4, deadlineMs: 10_000, recheck: true },
      );
      await engine.close();
      expect(compute.threads).toBe(1);
    },
  );
});
