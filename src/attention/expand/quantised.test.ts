/** QAttention and QLinearSoftmax against the runtime's own kernel, variant by variant. */
import { describe, it } from "vitest";
import type { Tensor } from "../../shared/tensor.ts";
import { B, D, N, S, checkExpansion, keyMask } from "../../test/expansion-check.ts";
import { random, u8, type Attributes, type Variant } from "../../test/fused-model.ts";

const bias = random([3 * D], 3);

describe("quantised forms", () => {
  const scalar = (value: number): Tensor => ({ datatype: "FP32", shape: [], data: Float32Array.of(value) });
  const zero = (value: number): Tensor => ({ datatype: "UINT8", shape: [], data: Uint8Array.of(value) });
  const product = [u8([B, S, D], 1), u8([D, 3 * D], 2), bias, scalar(0.01), scalar(0.004)];
  const variant = (inputs: Variant["inputs"], attributes: Attributes = {}, outputs = 1): Variant => ({
    operator: "QAttention",
    inputs,
    attributes: { num_heads: N, ...attributes },
    outputs,
  });
  it.each<[string, Variant]>([
    ["QAttention", variant([...product, null, zero(120), zero(128)])],
    ["QAttention with a mask", variant([...product, keyMask(S), zero(120), zero(128)])],
    ["QAttention, unidirectional", variant([...product, null, zero(120), zero(128)], { unidirectional: 1 })],
    [
      "QLinearSoftmax",
      {
        operator: "QLinearSoftmax",
        inputs: [u8([B, N, S, S], 3), scalar(0.05), zero(100), scalar(1 / 256), zero(0)],
        attributes: { axis: -1, opset: 13 },
      },
    ],
  ])("%s", (_, each) => checkExpansion(each));
});
