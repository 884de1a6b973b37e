/** com.microsoft Attention against the runtime's own kernel, variant by variant. */
import { describe, expect, it } from "vitest";
import { minimumOpset } from "../../onnx/emitter.ts";
import { float } from "../../onnx/model.ts";
import { B, D, H, N, S, checkExpansion, keyMask } from "../../test/expansion-check.ts";
import { int32, modelOf, random, run, type Attributes, type Variant } from "../../test/fused-model.ts";
import { difference } from "../../test/zoo.ts";
import { prepareModel } from "../prepare-model.ts";

const x = random([B, S, D], 1);
const weight = random([D, 3 * D], 2);
const bias = random([3 * D], 3);
const past = random([2, B, N, 3, H], 4);

describe("com.microsoft.Attention", () => {
  const variant = (inputs: Variant["inputs"], attributes: Attributes = {}, outputs = 1): Variant => ({
    operator: "Attention",
    inputs,
    attributes: { num_heads: N, ...attributes },
    outputs,
  });
  const variants: [string, Variant][] = [
    ["no mask", variant([x, weight, bias])],
    ["2-D mask", variant([x, weight, bias, keyMask(S)])],
    [
      "3-D mask",
      variant([
        x,
        weight,
        bias,
        int32(
          [B, S, S],
          Array.from({ length: B * S * S }, (_, i) => (i % 3 ? 1 : 0)),
        ),
      ]),
    ],
    ["ends", variant([x, weight, bias, int32([B], [5, 2])])],
    ["ends and starts", variant([x, weight, bias, int32([2 * B], [5, 4, 1, 2])])],
    [
      "every key masked",
      variant([
        x,
        weight,
        bias,
        int32(
          [B, S],
          Array.from({ length: B * S }, () => 0),
        ),
      ]),
    ],
    ["unidirectional", variant([x, weight, bias], { unidirectional: 1 })],
    [
      "unidirectional, mask, scale, filter",
      variant([x, weight, bias, keyMask(S)], {
        unidirectional: 1,
        scale: float(0.3),
        mask_filter_value: float(-50),
      }),
    ],
    ["past", variant([x, weight, bias, null, past], {}, 2)],
    [
      "past, mask, unidirectional",
      variant([x, weight, bias, keyMask(S + 3), past], { unidirectional: 1 }, 2),
    ],
    ["attention bias", variant([x, weight, bias, null, null, random([1, N, S, S], 9)])],
    ["attention bias and mask", variant([x, weight, bias, keyMask(S), null, random([B, 1, S, S], 9)])],
    [
      "other value width",
      variant([x, random([D, 2 * D + 16], 5), random([2 * D + 16], 6)], { qkv_hidden_sizes: [D, D, 16] }),
    ],
  ];
  describe.each([minimumOpset, 10, 17])("written out at opset %i", (opset) => {
    it.each(variants)("%s", (_, each) => checkExpansion({ ...each, opset }));
  });

  it("is written out without a bias, which no kernel survives", async () => {
    const model = modelOf(variant([x, weight]));
    expect(prepareModel(model).sites).toHaveLength(1);
    const zero = variant([x, weight, { ...bias, data: new Float32Array(3 * D) }]);
    expect(
      difference((await run(model, [x, weight]))["out0"], (await run(modelOf(zero), zero.inputs))["out0"]),
    ).toBeLessThan(2e-6);
  });

  it("is refused where it cannot be written out and would crash the runtime", () => {
    expect(() => prepareModel(modelOf(variant([x, weight], { do_rotary: 1 })))).toThrow(
      /crashes the runtime/,
    );
  });

  it("stays, with the reason, where it cannot be written out", () => {
    const { sites, nearMisses } = prepareModel(modelOf(variant([x, weight, bias], { do_rotary: 1 })));
    expect(sites).toEqual([]);
    expect(nearMisses).toEqual([
      { node: "fused", reason: expect.stringContaining("rotates its queries") as string },
    ]);
  });
});
