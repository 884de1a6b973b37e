import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { DataType } from "../onnx/model.ts";
import {
  toyDetector,
  toyEchoModel,
  toyFixedWidthModel,
  toyRepairModel,
  toyTotalModel,
} from "../test/engine-models.ts";
import { float32, tensor, type NumericDatatype, type Tensor, type TypedArray } from "../shared/tensor.ts";
import { modeCodes, type Mode } from "../shared/patched-model.ts";
import type { InferenceEngine, RunRequest } from "./engine.ts";
import { createOrtEngine, type OrtEngineOptions } from "./ort-engine.ts";

const open: InferenceEngine[] = [];
async function start(options: Partial<OrtEngineOptions> = {}): Promise<InferenceEngine> {
  const engine = await createOrtEngine({
    patched: toyRepairModel(),
    folder: ".",
    neutral: toyDetector(),
    workers: 1,
    threads: 1,
    queue: 8,
    ...options,
  });
  open.push(engine);
  return engine;
}
/** An engine on the repair model for all tests that need no other. */
let engine: InferenceEngine;
let restarts = 0;
const rechecked: number[] = [];
beforeAll(async () => {
  engine = await start({
    observer: { rechecked: (samples) => rechecked.push(samples), workerRestarted: () => restarts++ },
  });
  open.pop();
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((other) => other.close()));
});
afterAll(() => engine.close());

/** Rows of numbers as a tensor [B, T]. */
const rows = (...data: readonly (readonly number[])[]): Tensor =>
  float32([data.length, data[0]!.length], data.flat());

const request = (x: Tensor, mode: Mode, rest: Partial<RunRequest> = {}): RunRequest => ({
  inputs: { x },
  batch: x.shape[0]!,
  modes: new Int32Array(x.shape[0]!).fill(modeCodes[mode]),
  detector: null,
  ...rest,
});

describe("a run", () => {
  it("returns outputs and flags; with no detector nothing is flagged", async () => {
    const result = await engine.run(request(rows([1, 2]), "enforce"));
    expect(result.outputs).toEqual({ y: rows([101, 202]) });
    expect(result.flags).toEqual([{ keys: 2, firstSite: Int32Array.of(0, 0), score: Float32Array.of(0, 0) }]);
    expect(result.rechecked).toEqual([]);
    expect(result.queueMs).toBeGreaterThanOrEqual(0);
    expect(result.inferMs).toBeGreaterThan(0);
  });

  it("uses the detector it names, whatever was published since", async () => {
    await engine.publish("by 1000", toyDetector({ offset: 1000 }));
    const before = engine.run(request(rows([1]), "enforce", { detector: "by 1000" }));
    await engine.publish("by 2000", toyDetector({ offset: 2000 }));
    const after = engine.run(request(rows([1]), "enforce", { detector: "by 2000" }));
    expect((await before).outputs["y"]).toEqual(rows([1101]));
    expect((await after).outputs["y"]).toEqual(rows([2101]));
  });

  it("takes a mode per sample", async () => {
    await engine.publish("above 5", toyDetector({ first: 5 }));
    const { outputs, flags } = await engine.run({
      ...request(rows([1, 9], [1, 9], [1, 9]), "off", { detector: "above 5" }),
      modes: Int32Array.of(modeCodes.off, modeCodes.observe, modeCodes.enforce),
    });
    expect(outputs["y"]).toEqual(rows([101, 909], [101, 909], [101, 0]));
    expect([...flags[0]!.firstSite]).toEqual([0, 0, 0, 1, 0, 1]);
    expect([...flags[0]!.score]).toEqual([0, 0, 0, 9, 0, 9]);
  });

  it("forces columns without a detector", async () => {
    const columns: Tensor = { datatype: "UINT8", shape: [2, 2], data: Uint8Array.of(0, 1, 0, 0) };
    const { outputs, flags } = await engine.run(
      request(rows([1, 2], [3, 4]), "enforce", { force: { 0: columns } }),
    );
    expect(outputs["y"]).toEqual(rows([101, 0], [303, 404]));
    expect([...flags[0]!.firstSite]).toEqual([0, 1, 0, 0]);
    expect([...flags[0]!.score]).toEqual([0, 0, 0, 0]);
  });

  it("leaves the caller's arrays in place, large ones too", async () => {
    const x = float32([1, 50_000], new Float32Array(50_000).fill(3));
    const { outputs } = await engine.run(request(x, "off"));
    expect(x.data).toHaveLength(50_000);
    expect(outputs["y"]).toEqual(float32([1, 50_000], new Float32Array(50_000).fill(303)));
  });

  it("refuses a detector that is not published, or was retired", async () => {
    const run = () => engine.run(request(rows([1]), "off", { detector: "a" }));
    await expect(run()).rejects.toMatchObject({ code: "ATPATCH_UNKNOWN_DETECTOR" });
    await engine.publish("a", toyDetector());
    await run();
    await engine.retire("a");
    await expect(run()).rejects.toMatchObject({ code: "ATPATCH_UNKNOWN_DETECTOR" });
  });

  it("refuses what does not fit the model, before it is queued", async () => {
    await expect(engine.run(request(rows([1]), "off", { inputs: {} }))).rejects.toMatchObject({
      code: "ATPATCH_UNPROCESSABLE",
      message: 'input "x" is missing',
    });
  });

  it("is refused in the runtime's words, without positions in its sources, and the worker lives on", async () => {
    const fixed = await start({ patched: toyFixedWidthModel() });
    await expect(fixed.run(request(rows([1, 2, 3, 4]), "off"))).rejects.toMatchObject({
      code: "ATPATCH_UNPROCESSABLE",
      message: 'the model refused the inputs: node "/layer/MatMul" (MatMul): MatMul dimension mismatch',
    });
    expect((await fixed.run(request(rows([1, 2, 3]), "off"))).outputs["y"]).toEqual(rows([1, 2, 3]));
    expect(restarts).toBe(0);
  });
});

describe("datatypes", () => {
  const cases: [NumericDatatype, DataType, TypedArray][] = [
    ["BOOL", DataType.BOOL, Uint8Array.of(1, 0)],
    ["UINT8", DataType.UINT8, Uint8Array.of(255, 1)],
    ["UINT16", DataType.UINT16, Uint16Array.of(65535, 1)],
    ["UINT32", DataType.UINT32, Uint32Array.of(2 ** 32 - 1, 1)],
    ["UINT64", DataType.UINT64, BigUint64Array.of(2n ** 64n - 1n, 1n)],
    ["INT8", DataType.INT8, Int8Array.of(-128, 1)],
    ["INT16", DataType.INT16, Int16Array.of(-32768, 1)],
    ["INT32", DataType.INT32, Int32Array.of(-(2 ** 31), 1)],
    ["INT64", DataType.INT64, BigInt64Array.of(-(2n ** 63n), 1n)],
    ["FP16", DataType.FLOAT16, Uint16Array.of(0x3c00, 0xc000)],
    ["FP32", DataType.FLOAT, Float32Array.of(0.1, -0.2)],
    ["FP64", DataType.DOUBLE, Float64Array.of(0.1, -0.2)],
  ];

  it("go in and come out unchanged", async () => {
    const echo = await start({
      patched: toyEchoModel(
        cases.map(([datatype, type]) => ({
          name: datatype,
          type,
          info: { name: datatype, datatype, shape: [null, null] },
        })),
      ),
    });
    const given = Object.fromEntries(
      cases.map(([datatype, , data]) => [datatype, tensor(datatype, [1, 2], data)]),
    );
    const x = rows([0]);
    const { outputs } = await echo.run(request(x, "off", { inputs: { x, ...given } }));
    for (const [datatype] of cases) expect(outputs[`${datatype}_out`]).toEqual(given[datatype]);
  });
});

describe("recheck", () => {
  const detector = toyDetector({ first: 8.5, second: 5 });
  const late = request(rows([1, 8], [1, 2], [9, 8]), "enforce", { detector: "late" });

  it("runs samples again whose first flag came late", async () => {
    await engine.publish("late", detector);
    const result = await engine.run(late);
    // Sample 2 was caught at the first site; its second column came later and one pass leaves 100·8 of it.
    expect(result.outputs["y"]).toEqual(rows([101, 0], [101, 202], [0, 800]));
    expect([...result.flags[0]!.firstSite]).toEqual([0, 2, 0, 0, 1, 2]);
    expect([...result.flags[0]!.score]).toEqual([0, 8, 0, 0, 9, 8]);
    expect(result.rechecked).toHaveLength(1);
    expect(rechecked).toEqual([1]);
  });

  it("runs the whole batch again when an output belongs to no sample, and can be switched off", async () => {
    for (const [recheck, total] of [
      [true, rows([101, 800])],
      [false, rows([101, 800])],
    ] as const) {
      const totals = await start({ patched: toyTotalModel(), recheck });
      await totals.publish("late", detector);
      const result = await totals.run(late);
      expect(result.outputs["y"]).toEqual(rows([101, recheck ? 0 : 800], [101, 202], [0, 800]));
      expect(result.outputs["total"]).toEqual(total);
      expect(result.rechecked).toHaveLength(recheck ? 1 : 0);
      const { outputs } = await totals.run({ ...late, outputs: ["total"] });
      expect(outputs).toEqual({ total });
    }
  });
});

describe("starting", () => {
  it("fails with one sentence when the runtime cannot load the model, and tries once per worker", async () => {
    const patched = { ...toyRepairModel(), bytes: toyRepairModel().bytes.slice(0, -40) };
    let failed = 0;
    await expect(
      start({ patched, workers: 2, observer: { workerRestarted: () => failed++ } }),
    ).rejects.toMatchObject({
      code: "ATPATCH_BAD_MODEL",
      message: "the runtime cannot load the model: Failed to load model because protobuf parsing failed.",
    });
    expect(failed).toBe(0);
  });

  it.each([
    [{ workers: 0 }, "workers must be a whole number from 1, got 0"],
    [{ threads: 1.5 }, "threads must be a whole number from 1, got 1.5"],
    [{ queue: -1 }, "queue must be a whole number from 0, got -1"],
    [{ deadlineMs: 0 }, "deadlineMs must be a whole number from 1, got 0"],
    [{ maxBatch: 0 }, "maxBatch must be a whole number from 1, got 0"],
  ])("refuses %j", async (options, message) => {
    await expect(start(options)).rejects.toMatchObject({ code: "ATPATCH_BAD_SETTINGS", message });
  });
});
