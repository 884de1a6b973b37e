import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { decodeModel, encodeModel } from "../onnx/codec.ts";
import { minimumOpset } from "../onnx/emitter.ts";
import type { ModelProto } from "../onnx/model.ts";
import { float32 } from "../shared/tensor.ts";
import { hotfixNames, tapKinds, type PatchedModel } from "../shared/patched-model.ts";
import { attentionGraph, type AttentionChoices } from "../test/attention-graphs.ts";
import { opCase, plainShape, randomSource } from "../test/op-cases.ts";
import { expectClose } from "../test/op-run.ts";
import { floats, runPatched } from "../test/run-patched.ts";
import { instrument } from "./instrument.ts";

const base: Omit<AttentionChoices, "opset"> = {
  layout: "B,H",
  scale: "mul",
  mask: "add",
  after: [],
  normalise: "softmax",
  source: "self",
  dynamic: true,
};
const samples = 3;

function patch(model: ModelProto, standalone = false): PatchedModel {
  const bytes = encodeModel(model);
  const { detector } = opCase(plainShape);
  return instrument(
    { bytes, name: "model.onnx" },
    standalone ? { standalone: { detector, mode: "enforce" } } : { selfContained: true, taps: tapKinds },
  );
}

/** Outputs for three samples in the three modes, with an open detector and a forced column. */
async function results(choices: AttentionChoices): Promise<Record<string, ort.Tensor>> {
  const keys = choices.source === "self" ? 5 : 7;
  const session = await ort.InferenceSession.create(patch(attentionGraph(choices).model).bytes, {
    intraOpNumThreads: 1,
  });
  const random = randomSource(11);
  const tensor = (length: number): ort.Tensor =>
    new ort.Tensor(
      "float32",
      Float32Array.from({ length: samples * length * 8 }, () => random() - 0.5),
      [samples, length, 8],
    );
  const { detector } = opCase({ ...plainShape, keys });
  return runPatched(session, {
    inputs: { x: tensor(5), memory: tensor(7) },
    modes: [0, 1, 2],
    detector: { ...detector, thresholds: float32([1, 2], [-1e9, -1e9]) },
    force: { 0: { columns: [2], keys } },
  });
}

describe("models of early opsets", () => {
  it.each(
    [
      base,
      { ...base, layout: "B*H", mask: "none" },
      { ...base, source: "cross", mask: "where" },
      { ...base, source: "cross", mask: "none" },
      { ...base, dynamic: false, mask: "causal" },
    ].flatMap((choices) =>
      [minimumOpset, 8, 9, 10]
        // Where came with opset 9.
        .filter((opset) => opset >= 9 || choices.mask !== "where")
        .map((opset) => ({ ...choices, opset }) as AttentionChoices),
    ),
  )("are patched like newer ones: $opset, $layout, $source, $mask", async (choices) => {
    const early = await results(choices);
    const late = await results({ ...choices, opset: 17 });
    const flags = hotfixNames.flags(0);
    expect([...floats(early, flags)]).toEqual([...floats(late, flags)]);
    const keys = floats(early, flags).length / samples;
    const flagged = [0, 1, 2].map(
      (b) =>
        floats(early, flags)
          .subarray(b * keys, (b + 1) * keys)
          .filter((flag) => flag > 0).length,
    );
    expect(flagged[0]).toBe(0);
    expect(flagged[2]).toBeGreaterThan(1);
    expect(Object.keys(early)).toEqual(Object.keys(late));
    for (const name of Object.keys(late)) expectClose(floats(early, name), floats(late, name), 1e-4);
    const [before, after] = ["map", "patched"] as const;
    expect(floats(early, hotfixNames.tap(after, 0))).not.toEqual(floats(early, hotfixNames.tap(before, 0)));
  });

  it("become one file for other servers", async () => {
    const { model } = attentionGraph({ ...base, opset: minimumOpset });
    model.irVersion = 3n;
    const { bytes } = patch(model, true);
    const session = await ort.InferenceSession.create(bytes, { intraOpNumThreads: 1 });
    const x = new ort.Tensor("float32", new Float32Array(2 * 5 * 8).fill(0.5), [2, 5, 8]);
    const memory = new ort.Tensor("float32", new Float32Array(2 * 7 * 8), [2, 7, 8]);
    const outputs = await session.run({ x, memory });
    expect(outputs[hotfixNames.flags(0)]?.dims).toEqual([2, 5]);
    // The optional inputs are there, also in a file that came with an IR version that knew none.
    const inputs = decodeModel(bytes).graph?.input.map(({ name }) => name);
    for (const name of [hotfixNames.mode, hotfixNames.force(0), hotfixNames.detector("slot")]) {
      expect(inputs).toContain(name);
    }
  });

  it("are refused below the smallest one, in a sentence that names both", () => {
    const model = attentionGraph({ ...base, opset: minimumOpset }).model;
    for (const imported of model.opsetImport) if (imported.domain === "") imported.version = 6n;
    expect(() => instrument({ bytes: encodeModel(model), name: "model.onnx" })).toThrow(
      /uses opset 6; 7 to 26 are supported/,
    );
  });
});
