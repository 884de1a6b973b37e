/** com.microsoft MultiHeadAttention: queries, keys and values are given, packed or apart. */
import { axisSize } from "../../onnx/axes/atom.ts";
import { DataType, floatAttribute, intAttribute } from "../../onnx/model.ts";
import type { Emitter } from "../../onnx/emitter.ts";
import { causalTest, emitCore, mergeHeads, single, splitHeads } from "./core.ts";
import { input, wants, type Expand, type FusedNode } from "./expansion.ts";
import { keyMaskBias } from "./key-mask.ts";

interface Heads {
  queries: string;
  keys: string;
  values: string;
}

export const expandMultiHeadAttention: Expand = (fused) => {
  const { e, node, scope } = fused;
  if (input(fused, 8) !== "" || input(fused, 9) !== "") {
    return { reason: "it keeps its past in a buffer shared between runs or beams" };
  }
  const mask = input(fused, 4);
  const maskRank = mask === "" ? null : scope.axes.rank(mask);
  if (mask !== "" && (maskRank === null || maskRank > 3))
    return { reason: "its key padding mask has an unknown form" };
  const type = scope.types.of(input(fused, 0)) ?? DataType.FLOAT;
  const heads = intAttribute(node, "num_heads", 1);
  const given = unpack(fused, heads, type);
  if ("reason" in given) return given;

  let { keys, values } = given;
  const [pastKeys, pastValues] = [input(fused, 6), input(fused, 7)];
  let offset: string | null = null;
  if (pastKeys !== "" && pastValues !== "") {
    offset = e.dim(pastKeys, 2);
    keys = e.concat([single(e, pastKeys, type), keys], 2);
    values = e.concat([single(e, pastValues, type), values], 2);
  }
  const biases = input(fused, 5) === "" ? [] : [single(e, input(fused, 5), type)];
  if (maskRank !== null) {
    const filter = floatAttribute(node, "mask_filter_value", -10000);
    biases.push(keyMaskBias(e, mask, maskRank as 1 | 2 | 3, e.dim(given.queries, 0), keys, filter));
  }
  const causal = intAttribute(node, "unidirectional", 0) !== 0;
  const core = emitCore(e, {
    queries: given.queries,
    keys,
    values,
    scale: floatAttribute(node, "scale", 0) || null,
    headWidth: null,
    biases,
    allowed: causal
      ? e.op("Or", [causalTest(e, given.queries, keys, offset), lastQuery(e, given.queries)])
      : null,
  });
  const back = (x: string): string => (type === DataType.FLOAT ? x : e.cast(x, type as DataType));
  const results = [mergeHeads(e, core.context), keys, values, core.scores];
  results.forEach((result, i) => {
    if (wants(fused, i)) e.op("Identity", [back(result)], {}, node.output[i] ?? "");
  });
  return { weights: core.normalised };
};

/** The kernel lets the last query see every key, also where there are more keys than past and queries. Boolean [S, 1]. */
function lastQuery(e: Emitter, queries: string): string {
  const i = e.unsqueeze(e.positions(e.dim(queries, 2)), [1]);
  return e.op("Equal", [e.op("Add", [i, e.int(1)]), e.dim(queries, 2)]);
}

/** Brings queries, keys and values to [B, N, ·, H] in float32, biases added. */
function unpack(fused: FusedNode, heads: number, type: number): Heads | { readonly reason: string } {
  const { e, scope } = fused;
  const [query, key, value, bias] = [0, 1, 2, 3].map((i) => input(fused, i));
  const rank = (name: string | undefined): number | null => scope.axes.rank(name ?? "");
  const biases = bias ? splitBias(fused, bias) : null;
  if (bias && !biases) return { reason: "the widths of its bias are unknown" };
  const flat = (x: string | undefined, i: number): string => {
    const shifted = biases ? e.op("Add", [x ?? "", biases[i] ?? ""]) : (x ?? "");
    return splitHeads(e, single(e, shifted, type), heads);
  };
  if (rank(query) === 5 && !key) {
    const [q, k, v] = unpacked(e, query ?? "", 3);
    return { queries: flat(q, 0), keys: flat(k, 1), values: flat(v, 2) };
  }
  if (rank(query) !== 3 && rank(query) !== null)
    return { reason: "its queries have a layout that is not documented" };
  if (rank(key) === 5 && !value) {
    const [k, v] = unpacked(e, key ?? "", 2);
    return { queries: flat(query, 0), keys: flat(k, 1), values: flat(v, 2) };
  }
  if (!key || !value) return { reason: "it has no keys or no values" };
  // Keys of a cross attention that were projected before come as [B, N, L, H], without a bias.
  if (rank(key) === 4)
    return { queries: flat(query, 0), keys: single(e, key, type), values: single(e, value, type) };
  return { queries: flat(query, 0), keys: flat(key, 1), values: flat(value, 2) };
}

/** [B, S, N, parts, H] → parts of [B, S, N·H] */
function unpacked(e: Emitter, packed: string, parts: 2 | 3): string[] {
  const sizes = Array.from({ length: parts }, () => 1);
  return e.split(packed, 3, sizes).map((part) => e.reshape(part, [0, 0, -1]));
}

/** The bias [D + D + Dv] cut to the widths of queries, keys and values; null when they are unknown. */
function splitBias({ e, node, scope }: FusedNode, bias: string): string[] | null {
  const total = axisSize(scope.axes.axes(bias)?.[0] ?? []);
  const width = (i: number): number | null => {
    const axes = scope.axes.axes(node.input[i] ?? "");
    return axes?.length === 3 ? axisSize(axes[2] ?? []) : null;
  };
  if (total === null) return null;
  const query = width(0) ?? width(1) ?? (width(2) === null ? total / 3 : (total - (width(2) ?? 0)) / 2);
  const value = total - 2 * query;
  return Number.isInteger(query) && value > 0 ? e.split(bias, 0, [query, query, value]) : null;
}
