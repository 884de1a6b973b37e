/** ai.onnx Attention against the runtime's own kernel, variant by variant. */
import { describe, expect, it } from "vitest";
import { float } from "../../onnx/model.ts";
import { B, D, H, N, S, checkExpansion } from "../../test/expansion-check.ts";
import { bool, int64, modelOf, random, type Attributes, type Variant } from "../../test/fused-model.ts";
import { prepareModel } from "../prepare-model.ts";

describe("ai.onnx Attention", () => {
  const variant = (
    inputs: Variant["inputs"],
    attributes: Attributes = {},
    outputs = 1,
    opset = 23,
  ): Variant => ({
    operator: "Attention",
    domain: "",
    opset,
    inputs,
    attributes,
    outputs,
  });
  const [q, k, v] = [random([B, N, S, H], 51), random([B, N, 7, H], 52), random([B, N, 7, 6], 53)];
  const grouped = [random([B, 2, 7, H], 54), random([B, 2, 7, H], 55)];
  const flat = [random([B, S, D], 56), random([B, 7, 2 * H], 57), random([B, 7, 2 * H], 58)];
  const pasts = [random([B, N, 3, H], 59), random([B, N, 3, 6], 60)];
  const test = bool(
    [B, 1, S, 7],
    Array.from({ length: B * S * 7 }, (_, i) => (i % 5 === 0 || Math.floor(i / 7) === 1 ? 0 : 1)),
  );
  it.each<[string, Variant]>([
    ["4-D", variant([q, k, v])],
    ["grouped", variant([q, ...grouped])],
    ["3-D", variant(flat, { q_num_heads: N, kv_num_heads: 2 })],
    ["causal", variant([q, k, v], { is_causal: 1 })],
    ["boolean mask with a row without keys", variant([q, k, v, test])],
    ["float mask", variant([q, k, v, random([S, 7], 61)])],
    ["softcap, scale", variant([q, k, v, test], { softcap: float(1.2), scale: float(0.5) })],
    ["past", variant([q, k, v, null, ...pasts], { is_causal: 1 }, 3)],
    ["weights shown", variant([q, k, v, test], { qk_matmul_output_mode: 3 }, 4)],
    ["padded keys", variant([q, k, v, null, null, null, int64([B], [7, 5])], {}, 1, 24)],
    [
      "padded keys, causal",
      variant([q, k, v, null, null, null, int64([B], [7, 6])], { is_causal: 1 }, 1, 24),
    ],
  ])("%s", (_, each) => checkExpansion(each));

  it("stays, with the reason, where it shows scores the plain graph does not have", () => {
    const { nearMisses } = prepareModel(modelOf(variant([q, k, v], { qk_matmul_output_mode: 0 }, 4)));
    expect(nearMisses[0]?.reason).toMatch(/qk_matmul_output_mode 0/);
  });
});
