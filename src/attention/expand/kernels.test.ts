/** Every expansion against the runtime's own kernel, variant by variant. */
import { describe, expect, it } from "vitest";
import { float } from "../../onnx/model.ts";
import { validateModel } from "../../onnx/validate.ts";
import type { Tensor } from "../../shared/tensor.ts";
import {
  bool,
  int32,
  int64,
  modelOf,
  random,
  run,
  u8,
  type Attributes,
  type Variant,
} from "../../test/fused-model.ts";
import { difference } from "../../test/zoo.ts";
import { prepareModel } from "../prepare-model.ts";

async function check(variant: Variant): Promise<void> {
  const expected = await run(modelOf(variant), variant.inputs);
  const model = modelOf(variant);
  const { nearMisses } = prepareModel(model);
  expect(nearMisses.filter(({ reason }) => reason.includes("cannot be patched"))).toEqual([]);
  validateModel(model);
  expect(model.graph?.node.some(({ opType }) => opType === variant.operator)).toBe(false);
  const got = await run(model, variant.inputs);
  for (const [name, tensor] of Object.entries(expected)) {
    expect(got[name]?.shape).toEqual(tensor.shape);
    expect(difference(got[name], tensor)).toBeLessThan(2e-6);
  }
}

const [B, S, N, H] = [2, 5, 4, 8];
const D = N * H;
const x = random([B, S, D], 1);
const weight = random([D, 3 * D], 2);
const bias = random([3 * D], 3);
const past = random([2, B, N, 3, H], 4);
const mask2 = (keys: number): Tensor =>
  int32(
    [B, keys],
    Array.from({ length: B * keys }, (_, i) => (i % 4 === 2 ? 0 : 1)),
  );

describe("com.microsoft.Attention", () => {
  const variant = (inputs: Variant["inputs"], attributes: Attributes = {}, outputs = 1): Variant => ({
    operator: "Attention",
    inputs,
    attributes: { num_heads: N, ...attributes },
    outputs,
  });
  it.each<[string, Variant]>([
    ["no mask", variant([x, weight, bias])],
    ["2-D mask", variant([x, weight, bias, mask2(S)])],
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
      variant([x, weight, bias, mask2(S)], {
        unidirectional: 1,
        scale: float(0.3),
        mask_filter_value: float(-50),
      }),
    ],
    ["past", variant([x, weight, bias, null, past], {}, 2)],
    ["past, mask, unidirectional", variant([x, weight, bias, mask2(S + 3), past], { unidirectional: 1 }, 2)],
    ["attention bias", variant([x, weight, bias, null, null, random([1, N, S, S], 9)])],
    ["attention bias and mask", variant([x, weight, bias, mask2(S), null, random([B, 1, S, S], 9)])],
    [
      "other value width",
      variant([x, random([D, 2 * D + 16], 5), random([2 * D + 16], 6)], { qkv_hidden_sizes: [D, D, 16] }),
    ],
  ])("%s", (_, each) => check(each));

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
  it.each<[string, Variant]>([
    ["cross", variant([x, k, v])],
    ["bias", variant([x, k, v, bias])],
    ["key padding mask", variant([x, k, v, bias, mask2(7)])],
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
        [x, random([B, S, D], 19), random([B, S, D], 20), bias, mask2(S + 3), null, ...pasts],
        { unidirectional: 1 },
        3,
      ),
    ],
    ["scores shown", variant([x, k, v, bias, mask2(7), null, null, null], {}, 4)],
  ])("%s", (_, each) => check(each));

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
  ])("%s", (_, each) => check(each));
});

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
  ])("%s", (_, each) => check(each));

  it("stays, with the reason, where it shows scores the plain graph does not have", () => {
    const { nearMisses } = prepareModel(modelOf(variant([q, k, v], { qk_matmul_output_mode: 0 }, 4)));
    expect(nearMisses[0]?.reason).toMatch(/qk_matmul_output_mode 0/);
  });
});

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
    ["QAttention with a mask", variant([...product, mask2(S), zero(120), zero(128)])],
    ["QAttention, unidirectional", variant([...product, null, zero(120), zero(128)], { unidirectional: 1 })],
    [
      "QLinearSoftmax",
      {
        operator: "QLinearSoftmax",
        inputs: [u8([B, N, S, S], 3), scalar(0.05), zero(100), scalar(1 / 256), zero(0)],
        attributes: { axis: -1, opset: 13 },
      },
    ],
  ])("%s", (_, each) => check(each));
});
