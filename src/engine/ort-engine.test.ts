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
import type { InferenceEngine, RunRequest } from "./engine.ts";
import { createOrtEngine, type OrtEngineOptions } from "./ort-engine.ts";

const modes = { off: 0, observe: 1, enforce: 2 };
const defaults = { folder: ".", neutral: toyDetector(), workers: 1, threads: 1, queue: 8 };

const engines: InferenceEngine[] = [];
async function start(options: Partial<OrtEngineOptions> = {}): Promise<InferenceEngine> {
  const engine = await createOrtEngine({ patched: toyRepairModel(), ...defaults, ...options });
  engines.push(engine);
  return engine;
}
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.close()));
});

/** A request of one sample per mode over x [B, T]. */
const request = (
  x: readonly (readonly number[])[],
  mode: keyof typeof modes,
  rest: Partial<RunRequest> = {},
): RunRequest => ({
  inputs: { x: float32([x.length, x[0]!.length], x.flat()) },
  batch: x.length,
  modes: new Int32Array(x.length).fill(modes[mode]),
  detector: null,
  ...rest,
});

const forced = (...rows: readonly (readonly number[])[]): Readonly<Record<number, Tensor>> => ({
  0: { datatype: "BOOL", shape: [rows.length, rows[0]!.length], data: Uint8Array.from(rows.flat()) },
});

describe("a run", () => {
  let engine: InferenceEngine;
  beforeAll(async () => {
    engine = await createOrtEngine({ patched: toyRepairModel(), ...defaults });
  });
  afterAll(() => engine.close());

  it("returns outputs and flags; with no detector nothing is flagged", async () => {
    const result = await engine.run(request([[1, 2]], "enforce"));
    expect(result.outputs["y"]).toEqual(float32([1, 2], [101, 202]));
    expect(result.flags).toEqual([{ keys: 2, firstSite: Int32Array.of(0, 0), score: Float32Array.of(0, 0) }]);
    expect(result.rechecked).toBe(0);
    expect(result.queueMs).toBeGreaterThanOrEqual(0);
    expect(result.inferMs).toBeGreaterThan(0);
  });

  it("uses the detector it names, whatever was published since", async () => {
    await engine.publish("first", toyDetector({ offset: 1000 }));
    const before = engine.run(request([[1]], "enforce", { detector: "first" }));
    await engine.publish("b", toyDetector({ offset: 2000 }));
    const after = engine.run(request([[1]], "enforce", { detector: "b" }));
    expect((await before).outputs["y"]!.data[0]).toBe(1101);
    expect((await after).outputs["y"]!.data[0]).toBe(2101);
  });

  it("takes a mode per sample", async () => {
    await engine.publish("second", toyDetector({ first: 5 }));
    const { outputs, flags } = await engine.run({
      ...request(
        [
          [1, 9],
          [1, 9],
          [1, 9],
        ],
        "off",
        { detector: "second" },
      ),
      modes: Int32Array.of(modes.off, modes.observe, modes.enforce),
    });
    expect([...outputs["y"]!.data]).toEqual([101, 909, 101, 909, 101, 0]);
    expect([...flags[0]!.firstSite]).toEqual([0, 0, 0, 1, 0, 1]);
    expect([...flags[0]!.score]).toEqual([0, 0, 0, 9, 0, 9]);
  });

  it("forces columns without a detector", async () => {
    const { outputs, flags } = await engine.run(
      request(
        [
          [1, 2],
          [3, 4],
        ],
        "enforce",
        { force: forced([0, 1], [0, 0]) },
      ),
    );
    expect([...outputs["y"]!.data]).toEqual([101, 0, 303, 404]);
    expect([...flags[0]!.firstSite]).toEqual([0, 1, 0, 0]);
    expect([...flags[0]!.score]).toEqual([0, 0, 0, 0]);
  });

  it("leaves the caller's arrays in place, large ones too", async () => {
    const x = float32([1, 50_000], new Float32Array(50_000).fill(3));
    const { outputs } = await engine.run({ ...request([[0]], "off"), inputs: { x } });
    expect(x.data).toHaveLength(50_000);
    expect(outputs["y"]!.data).toHaveLength(50_000);
    expect(outputs["y"]!.data[49_999]).toBe(303);
  });

  it("returns the outputs it was asked for", async () => {
    const engine = await start({ patched: toyTotalModel() });
    const { outputs } = await engine.run(request([[1], [2]], "off", { outputs: ["total"] }));
    expect(outputs).toEqual({ total: float32([1, 1], [202]) });
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
    const patched = toyEchoModel(
      cases.map(([datatype, type]) => ({
        name: `in_${datatype}`,
        type,
        info: { name: `in_${datatype}`, datatype, shape: [null, null] },
      })),
    );
    const engine = await start({ patched });
    const given = Object.fromEntries(
      cases.map(([datatype, , data]) => [`in_${datatype}`, tensor(datatype, [1, 2], data)]),
    );
    const { outputs } = await engine.run(
      request([[0]], "off", { inputs: { x: float32([1, 1], [0]), ...given } }),
    );
    for (const [datatype, , data] of cases) {
      expect(outputs[`in_${datatype}_out`]).toEqual(tensor(datatype, [1, 2], data));
    }
  });
});

describe("recheck", () => {
  const late = request(
    [
      [1, 8],
      [1, 2],
      [9, 8],
    ],
    "enforce",
    { detector: "a" },
  );
  const detector = toyDetector({ first: 8.5, second: 5 });

  it("runs samples again whose first flag came late", async () => {
    const rechecked: number[] = [];
    const engine = await start({ observer: { rechecked: (samples) => rechecked.push(samples) } });
    await engine.publish("a", detector);
    const result = await engine.run(late);
    // Row 2 was caught at the first site, so its late second column (8) is what one pass leaves: 100·8.
    expect([...result.outputs["y"]!.data]).toEqual([101, 0, 101, 202, 0, 800]);
    expect([...result.flags[0]!.firstSite]).toEqual([0, 2, 0, 0, 1, 2]);
    expect([...result.flags[0]!.score]).toEqual([0, 8, 0, 0, 9, 8]);
    expect(result.rechecked).toBe(1);
    expect(rechecked).toEqual([1]);
  });

  it("runs the whole batch again when an output belongs to no sample", async () => {
    const engine = await start({ patched: toyTotalModel() });
    await engine.publish("a", detector);
    const { outputs } = await engine.run(late);
    expect([...outputs["y"]!.data]).toEqual([101, 0, 101, 202, 0, 800]);
    expect([...outputs["total"]!.data]).toEqual([101, 800]);
  });

  it("can be switched off", async () => {
    const engine = await start({ recheck: false });
    await engine.publish("a", detector);
    const result = await engine.run(late);
    expect([...result.outputs["y"]!.data]).toEqual([101, 800, 101, 202, 0, 800]);
    expect(result.rechecked).toBe(0);
  });
});

describe("a request that does not fit", () => {
  it("is refused in the runtime's words, without positions in its sources, and the worker lives on", async () => {
    let restarts = 0;
    const engine = await start({
      patched: toyFixedWidthModel(),
      observer: { workerRestarted: () => restarts++ },
    });
    await expect(engine.run(request([[1, 2, 3, 4]], "off"))).rejects.toMatchObject({
      code: "ATPATCH_UNPROCESSABLE",
      message: 'the model refused the inputs: node "/layer/MatMul" (MatMul): MatMul dimension mismatch',
    });
    expect([...(await engine.run(request([[1, 2, 3]], "off"))).outputs["y"]!.data]).toEqual([1, 2, 3]);
    expect(restarts).toBe(0);
  });

  it("is refused when its detector is not published or was retired", async () => {
    const engine = await start();
    const run = () => engine.run(request([[1]], "off", { detector: "a" }));
    await expect(run()).rejects.toMatchObject({ code: "ATPATCH_UNKNOWN_DETECTOR" });
    await engine.publish("a", toyDetector());
    await run();
    await engine.retire("a");
    await expect(run()).rejects.toMatchObject({ code: "ATPATCH_UNKNOWN_DETECTOR" });
  });
});

describe("starting", () => {
  it("fails with one sentence when the runtime cannot load the model, and tries once per worker", async () => {
    let restarts = 0;
    const patched = { ...toyRepairModel(), bytes: toyRepairModel().bytes.slice(0, -40) };
    await expect(
      start({ patched, workers: 2, observer: { workerRestarted: () => restarts++ } }),
    ).rejects.toMatchObject({
      code: "ATPATCH_BAD_MODEL",
      message: "the runtime cannot load the model: Failed to load model because protobuf parsing failed.",
    });
    expect(restarts).toBe(0);
  });

  it.each([
    [{ workers: 0 }, "workers must be a whole number from 1, got 0"],
    [{ threads: 1.5 }, "threads must be a whole number from 1, got 1.5"],
    [{ queue: -1 }, "queue must be a whole number from 0, got -1"],
    [{ deadlineMs: 0 }, "deadlineMs must be a whole number from 1, got 0"],
  ])("refuses %j", async (options, message) => {
    await expect(start(options)).rejects.toMatchObject({ code: "ATPATCH_BAD_SETTINGS", message });
  });
});
