import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { decodeModel, encodeModel } from "../onnx/codec.ts";
import { AtPatchError } from "../shared/errors.ts";
import { float32 } from "../shared/tensor.ts";
import { hotfixNames, tapKinds } from "../shared/patched-model.ts";
import { attentionGraph } from "../test/attention-graphs.ts";
import { opCase, plainShape, randomSource } from "../test/op-cases.ts";
import { randomVit, vitTiny } from "../test/random-vit.ts";
import { expectClose } from "../test/op-run.ts";
import { floats, runPatched } from "../test/run-patched.ts";
import { instrument } from "./instrument.ts";
import { hotfixDomain } from "./op.ts";

const bytes = randomVit(vitTiny);
const keys = 17;
const shape = { ...plainShape, seed: 3, keys, depth: 8 };
const detector = opCase(shape, { sites: 2 }).detector;
const session = (model: Uint8Array): Promise<ort.InferenceSession> =>
  ort.InferenceSession.create(model, { intraOpNumThreads: 1 });

function pixels(batch: number, seed: number): ort.Tensor {
  const random = randomSource(seed);
  const data = Float32Array.from({ length: batch * 3 * 16 * 16 }, () => random());
  return new ort.Tensor("float32", data, [batch, 3, 16, 16]);
}

describe("instrument", () => {
  it("adds one operator per site under its own domain, and the interface around it", () => {
    const patched = instrument({ bytes, name: "model.onnx" });
    const model = decodeModel(patched.bytes);
    const operators = model.graph?.node.filter((node) => node.domain === hotfixDomain) ?? [];
    expect(operators.map((node) => node.opType)).toEqual(["AttentionPatch", "AttentionPatch"]);
    expect(model.functions.map((f) => `${f.domain}::${f.name}`)).toEqual(["ai.atpatch::AttentionPatch"]);
    expect(patched.description).toMatchObject({
      inputs: [{ name: "pixel_values", datatype: "FP32", shape: [null, 3, 16, 16] }],
      outputs: [{ name: "logits", datatype: "FP32", shape: [null, 5] }],
      axes: 1,
    });
    expect(patched.description.sites).toHaveLength(2);
  });

  it("computes what the original computes while nothing is flagged, bit for bit whatever the mode", async () => {
    const [original, patched] = await Promise.all([
      session(bytes),
      session(instrument({ bytes, name: "model.onnx" }, { selfContained: true }).bytes),
    ]);
    const quiet = { ...detector, thresholds: float32([1, 2], [1e9, 1e9]) };
    const inputs = { pixel_values: pixels(3, 1) };
    const expected = floats(await original.run(inputs), "logits");
    const off = floats(await runPatched(patched, { inputs, modes: [0, 0, 0], detector }), "logits");
    const enforced = floats(
      await runPatched(patched, { inputs, modes: [2, 1, 2], detector: quiet }),
      "logits",
    );
    expect(enforced).toEqual(off);
    off.forEach((x, i) => expect(Math.abs(x - (expected[i] ?? NaN))).toBeLessThan(1e-5));
  });

  it("keeps modes and flags per sample", async () => {
    const patched = await session(instrument({ bytes, name: "model.onnx" }, { selfContained: true }).bytes);
    const open = { ...detector, thresholds: float32([1, 2], [-1e9, -1e9]) };
    const inputs = { pixel_values: pixels(3, 2) };
    const off = floats(await runPatched(patched, { inputs, modes: [0, 0, 0], detector: open }), "logits");
    const mixed = await runPatched(patched, { inputs, modes: [0, 1, 2], detector: open });
    const logits = floats(mixed, "logits");
    expect(logits.subarray(0, 10)).toEqual(off.subarray(0, 10));
    expect(logits.subarray(10)).not.toEqual(off.subarray(10));
    const flags = mixed[hotfixNames.flags(0)]?.data as Int32Array;
    const counts = [0, 1, 2].map((b) => flags.subarray(b * keys, (b + 1) * keys).filter((f) => f > 0).length);
    expect(counts).toEqual([0, 8, 8]); // k_max is half of 17, and never the first column
    expect(flags[keys]).toBe(0);
  });

  it("lets nothing of a flagged column reach the logits", async () => {
    const patched = await session(instrument({ bytes, name: "model.onnx" }, { selfContained: true }).bytes);
    const quiet = { ...detector, thresholds: float32([1, 2], [1e9, 1e9]) };
    const image = pixels(1, 4);
    const other = new ort.Tensor("float32", Float32Array.from(image.data as Float32Array), image.dims);
    for (let c = 0; c < 3; c++) {
      for (let y = 4; y < 8; y++) for (let x = 8; x < 12; x++) other.data[(c * 16 + y) * 16 + x] = 5 - y; // patch [1,2]
    }
    const column = 1 + 1 * 4 + 2;
    const run = async (input: ort.Tensor, columns: number[]): Promise<Float32Array> =>
      floats(
        await runPatched(patched, {
          inputs: { pixel_values: input },
          modes: [2],
          detector: quiet,
          force: { 0: { columns, keys } },
        }),
        "logits",
      );
    const largest = (a: Float32Array, b: Float32Array): number =>
      Math.max(...a.map((x, i) => Math.abs(x - (b[i] ?? 0))));
    expect(largest(await run(image, []), await run(other, []))).toBeGreaterThan(0.05);
    expect(largest(await run(image, [column]), await run(other, [column]))).toBeLessThan(1e-5);
    expect(largest(await run(image, [column + 1]), await run(other, [column + 1]))).toBeGreaterThan(0.05);
  });

  it("returns maps and patched maps of every site in a collect build", async () => {
    const patched = await session(
      instrument({ bytes, name: "model.onnx" }, { taps: tapKinds, selfContained: true }).bytes,
    );
    const outputs = await runPatched(patched, {
      inputs: { pixel_values: pixels(2, 5) },
      modes: [2, 2],
      detector: { ...detector, thresholds: float32([1, 2], [1e9, 1e9]) },
      force: { 0: { columns: [3, 9], keys } },
    });
    for (const site of [0, 1]) {
      expect(outputs[hotfixNames.tap("map", site)]?.dims).toEqual([2, 2, keys, keys]);
      const rows = floats(outputs, hotfixNames.tap("patched", site));
      for (let row = 0; row < rows.length / keys; row++) {
        const sum = rows.subarray(row * keys, (row + 1) * keys).reduce((total, x) => total + x, 0);
        expect(Math.abs(sum - 1)).toBeLessThan(1e-5);
      }
      expect(rows).not.toEqual(floats(outputs, hotfixNames.tap("map", site)));
    }
    expect(outputs[hotfixNames.flags(0)]?.data[3]).toBe(1);
  });

  it("gives other servers one file that asks for nothing new and answers like the proxy", async () => {
    const open = { ...detector, thresholds: float32([1, 2], [-1e9, -1e9]) };
    const standalone = instrument(
      { bytes, name: "model.onnx" },
      { standalone: { detector: open, mode: "enforce" } },
    );
    const [alone, patched] = await Promise.all([
      session(standalone.bytes),
      session(instrument({ bytes, name: "model.onnx" }, { selfContained: true }).bytes),
    ]);
    expect(alone.inputNames).toEqual(["pixel_values"]);
    const inputs = { pixel_values: pixels(3, 6) };
    const expected = await runPatched(patched, { inputs, modes: [2, 2, 2], detector: open });
    const actual = await alone.run(inputs);
    const flags = [...floats(actual, hotfixNames.flags(0))];
    expect(flags).toEqual([...floats(expected, hotfixNames.flags(0))]);
    expect(flags.some((flag) => flag > 0)).toBe(true);
    floats(actual, "logits").forEach((x, i) =>
      expect(Math.abs(x - (floats(expected, "logits")[i] ?? NaN))).toBeLessThan(1e-5),
    );
  });

  it("repairs heads that are folded into the batch in such a file as the proxy does", async () => {
    const samples = 3;
    const graph = attentionGraph({
      opset: 17,
      layout: "B*H",
      scale: "mul",
      mask: "none",
      after: [],
      normalise: "softmax",
      source: "self",
      dynamic: true,
    });
    const folded = { bytes: encodeModel(graph.model), name: "model.onnx" };
    const open = {
      ...opCase({ ...shape, keys: 5, depth: 4 }).detector,
      thresholds: float32([1, 2], [-1e9, -1e9]),
    };
    const [alone, patched] = await Promise.all([
      session(instrument(folded, { standalone: { detector: open, mode: "enforce" } }).bytes),
      session(instrument(folded, { selfContained: true }).bytes),
    ]);
    const random = randomSource(8);
    const tensor = (length: number): ort.Tensor => {
      const data = Float32Array.from({ length: samples * length * 8 }, () => random() - 0.5);
      return new ort.Tensor("float32", data, [samples, length, 8]);
    };
    const inputs = { x: tensor(5), memory: tensor(7) };
    const expected = await runPatched(patched, { inputs, modes: [2, 2, 2], detector: open });
    const actual = await alone.run(inputs);
    expect([...floats(expected, hotfixNames.flags(0))].some((flag) => flag > 0)).toBe(true);
    expect(Object.keys(expected)).toEqual([
      ...Object.keys(actual),
      hotfixNames.reported(0),
      hotfixNames.values(0),
    ]);
    for (const name of Object.keys(actual)) expectClose(floats(actual, name), floats(expected, name), 1e-5);
  });

  it("refuses a model without attention, saying so in one sentence", () => {
    const model = randomVit({ ...vitTiny, layers: 0 });
    expect(() => instrument({ bytes: model, name: "model.onnx" })).toThrow(AtPatchError);
    expect(() => instrument({ bytes: model, name: "model.onnx" })).toThrow(/no attention map/);
  });
});
