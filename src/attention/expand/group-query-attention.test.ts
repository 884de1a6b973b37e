/** com.microsoft GroupQueryAttention against the runtime's own kernel, variant by variant. */
import { describe, it } from "vitest";
import { float } from "../../onnx/model.ts";
import type { Tensor } from "../../shared/tensor.ts";
import { B, N, S, checkExpansion } from "../../test/expansion-check.ts";
import { int32, random, type Attributes, type Variant } from "../../test/fused-model.ts";

describe("com.microsoft.GroupQueryAttention", () => {
  const [NK, W] = [2, 16];
  const q = random([B, S, N * W], 31);
  const kv = [random([B, S, NK * W], 32), random([B, S, NK * W], 33)];
  const caches = (rows: number): Tensor[] => [random([B, NK, rows, W], 34), random([B, NK, rows, W], 35)];
  const lengths = (...last: number[]): Tensor => int32([B], last);
  const total = (n: number): Tensor => int32([1], [n]);
  const angles = [random([32, W / 2], 36), random([32, W / 2], 37)];
  const variant = (inputs: Variant["inputs"], attributes: Attributes = {}, outputs = 3): Variant => ({
    operator: "GroupQueryAttention",
    inputs,
    attributes: { num_heads: N, kv_num_heads: NK, ...attributes },
    outputs,
  });
  const next = [random([B, 1, N * W], 41), random([B, 1, NK * W], 42), random([B, 1, NK * W], 43)];
  const prompt = [null, null, lengths(S - 1, S - 1), total(S)];
  it.each<[string, Variant]>([
    ["prompt", variant([q, ...kv, ...prompt])],
    ["packed", variant([random([B, S, (N + 2 * NK) * W], 38), null, null, ...prompt])],
    ["rotary", variant([q, ...kv, ...prompt, ...angles], { do_rotary: 1 })],
    [
      "rotary, interleaved",
      variant([q, ...kv, ...prompt, ...angles], { do_rotary: 1, rotary_interleaved: 1 }),
    ],
    ["window", variant([q, ...kv, ...prompt], { local_window_size: 2 })],
    ["softcap and scale", variant([q, ...kv, ...prompt], { softcap: float(1.5), scale: float(0.4) })],
    ["smooth softmax", variant([q, ...kv, ...prompt], { smooth_softmax: 1 })],
    ["sink", variant([q, ...kv, ...prompt, null, null, null, null, random([N], 39)])],
    ["attention bias", variant([q, ...kv, ...prompt, null, null, null, random([1, 1, S, S], 40)])],
    ["past", variant([...next, ...caches(3), lengths(3, 3), total(4)])],
    ["past of different lengths", variant([...next, ...caches(3), lengths(3, 1), total(4)])],
    ["past in a longer cache", variant([...next, ...caches(9), lengths(3, 2), total(4)])],
    ["past, rotary", variant([...next, ...caches(3), lengths(3, 2), total(4), ...angles], { do_rotary: 1 })],
    ["past, window", variant([...next, ...caches(6), lengths(6, 6), total(7)], { local_window_size: 3 })],
    ["weights shown", variant([q, ...kv, ...prompt], { qk_output: 2 }, 4)],
  ])("%s", (_, each) => checkExpansion(each));
});
