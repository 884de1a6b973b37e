import * as ort from "onnxruntime-node";
import { expect, it } from "vitest";
import { neutralTensors } from "../detector/neutral.ts";
import { encodeModel } from "../onnx/codec.ts";
import { DataType, int64Tensor } from "../onnx/model.ts";
import { GraphBuilder } from "../test/graph-builder.ts";
import { floats, runPatched } from "../test/run-patched.ts";
import { instrument } from "./instrument.ts";

/** An attention layer whose operands are all quantised and brought back, as static quantisation leaves them. */
function quantisedAttention(): Uint8Array {
  const g = new GraphBuilder();
  const zero = g.fresh("z");
  g.constants.push({
    ...int64Tensor(zero, [], [0]),
    dataType: DataType.INT8,
    rawData: new Uint8Array(1),
  });
  const brought = (x: string, scale: number): string => {
    const step = g.scalar(scale);
    return g.op("DequantizeLinear", [g.op("QuantizeLinear", [x, step, zero]), step, zero]);
  };
  const heads = (): string => {
    const flat = brought(g.op("MatMul", ["x", g.weight(8, 8)]), 0.05);
    return g.op("Transpose", [g.op("Reshape", [flat, g.ints(0, 0, 2, 4)])], { perm: [0, 2, 1, 3] });
  };
  const [q, k, v] = [heads(), heads(), heads()];
  const scores = g.op("MatMul", [q, g.op("Transpose", [k], { perm: [0, 1, 3, 2] })]);
  const weights = brought(g.op("Softmax", [scores], { axis: -1 }), 1 / 127);
  const context = g.op("MatMul", [weights, v]);
  return encodeModel(
    g.model(
      g.op("Reshape", [g.op("Transpose", [context], { perm: [0, 2, 1, 3] }), g.ints(0, 0, 8)]),
      { x: ["batch", 5, 8] },
      17,
    ),
  );
}

it("survives the runtime's optimiser and answers like the original where operands are quantised", async () => {
  const bytes = quantisedAttention();
  const data = Float32Array.from({ length: 2 * 5 * 8 }, (_, i) => Math.sin(i * 1.7));
  const x = new ort.Tensor("float32", data, [2, 5, 8]);
  const original = await ort.InferenceSession.create(bytes, { graphOptimizationLevel: "disabled" });
  const expected = floats(await original.run({ x }), "y");
  const { bytes: patched } = instrument({ bytes, name: "model.onnx" }, { selfContained: true });
  const session = await ort.InferenceSession.create(patched, { graphOptimizationLevel: "all" });
  const run = (modes: number[]) => runPatched(session, { inputs: { x }, modes, detector: neutralTensors(1) });
  const quiet = floats(await run([2, 2]), "y");
  expect(quiet).toEqual(floats(await run([0, 0]), "y"));
  // One step of the quantised values apart at most.
  quiet.forEach((value, i) => expect(Math.abs(value - (expected[i] as number))).toBeLessThan(0.051));
});
