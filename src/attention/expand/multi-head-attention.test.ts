/** com.microsoft MultiHeadAttention against the runtime's own kernel, variant by variant. */
import { describe, expect, it } from "vitest";
import { minimumOpset } from "../../onnx/emitter.ts";
import { float } from "../../onnx/model.ts";
import type { Tensor } from "../../shared/tensor.ts";
import { B, D, H, N, S, checkExpansion, keyMask } from "../../test/expansion-check.ts";
import { int32, modelOf, random, run, type Attributes, type Variant } from "../../test/fused-model.ts";
import { difference } from "../../test/zoo.ts";
import { prepareModel } from "../prepare-model.ts";

const x = random([B, S, D], 1);
const bias = random([3 * D], 3);

describe("com.microsoft.MultiHeadAttention", () => {
  const k = random([B, 7, D], 11);
  const v = random([B, 7, D], 12);
  const variant = (inputs: Variant["inputs"], attributes: Attributes = {}, outputs = 1): Variant => ({
    operator: "MultiHeadAttention",
    inputs,
    attributes: { num_heads: N, ...attributes },
    outputs,
  });
  const pasts = [random([B, N, 3, H], 13), random([B, N, 3, H], 14)];
  const variants: [string, Variant][] = [
    ["cross", variant([x, k, v])],
    ["bias", variant([x, k, v, bias])],
    ["key padding mask", variant([x, k, v, bias, keyMask(7)])],
    ["ends", variant([x, k, v, null, int32([B], [7, 4])])],
    ["attention bias", variant([x, k, v, null, null, random([1, N, S, 7], 9)])],
    ["unidirectional", variant([x, k, v], { unidirectional: 1 })],
    ["scale", variant([x, k, v], { scale: float(0.2) })],
    ["narrow values", variant([x, k, random([B, 7, 16], 15), random([2 * D + 16], 16)])],
    ["projected keys", variant([x, random([B, N, 7, H], 17), random([B, N, 7, H], 18), bias])],
    ["past", variant([x, random([B, S, D], 19), random([B, S, D], 20), null, null, null, ...pasts], {}, 3)],
    [
      "past, mask",
      variant(
        [x, random([B, S, D], 19), random([B, S, D], 20), bias, keyMask(S + 3), null, ...pasts],
        { unidirectional: 1 },
        3,
      ),
    ],
    ["scores shown", variant([x, k, v, bias, keyMask(7), null, null, null], {}, 4)],
  ];
  describe.each([minimumOpset, 10, 17])("written out at opset %i", (opset) => {
    it.each(variants)("%s", (_, each) => checkExpansion({ ...each, opset }));
  });

  it("is written out packed, which the CPU has no kernel for", async () => {
    const packed = random([B, S, N, 3, H], 21);
    const model = modelOf(variant([packed]));
    expect(prepareModel(model).sites).toHaveLength(1);
    const part = (at: number): Tensor => ({
      datatype: "FP32",
      shape: [B, S, D],
      data: Float32Array.from({ length: B * S * D }, (_, i) => {
        const [row, head, feature] = [Math.floor(i / D), Math.floor((i % D) / H), i % H];
        return Number(packed.data[((row * N + head) * 3 + at) * H + feature]);
      }),
    });
    const apart = variant([part(0), part(1), part(2)]);
    expect(
      difference((await run(model, [packed]))["out0"], (await run(modelOf(apart), apart.inputs))["out0"]),
    ).toBeLessThan(2e-6);
  });
});
