/** ai.onnx Attention, opset 23 to 26. */
import { DataType, floatAttribute, intAttribute } from "../../onnx/model.ts";
import type { Emitter } from "../../onnx/emitter.ts";
import { emitCore, mergeHeads, repeatHeads, single, splitHeads } from "./core.ts";
import { input, wants, type Expand, type FusedNode } from "./expansion.ts";
import { axisSize } from "../../onnx/axes/atom.ts";

export const expandOnnxAttention: Expand = (fused) => {
  const { e, node, scope } = fused;
  const rank = scope.axes.rank(input(fused, 0));
  if (rank !== 3 && rank !== 4) return { reason: "the rank of its queries is unknown" };
  const type = scope.types.of(input(fused, 0)) ?? DataType.FLOAT;
  const headCounts = countHeads(fused, rank);
  if (!headCounts) return { reason: "its numbers of heads are unknown" };
  const [heads, kvHeads] = headCounts;
  const bring = (x: string, count: number): string => {
    const float = single(e, x, type);
    return rank === 3 ? splitHeads(e, float, count) : float;
  };
  const queries = bring(input(fused, 0), heads);
  let [keys, values] = [bring(input(fused, 1), kvHeads), bring(input(fused, 2), kvHeads)];
  const [pastKeys, pastValues, filled] = [input(fused, 4), input(fused, 5), input(fused, 6)];
  let offset: string | null = null;
  if (pastKeys !== "" && pastValues !== "") {
    offset = e.dim(pastKeys, 2);
    keys = e.concat([single(e, pastKeys, type), keys], 2);
    values = e.concat([single(e, pastValues, type), values], 2);
  } else if (filled !== "") {
    // Keys beyond nonpad_kv_seqlen are padding; queries are the last of those that count. [B,1,1,1]
    offset = e.op("Sub", [e.unsqueeze(filled, [1, 2, 3]), e.dim(queries, 2)]);
  }
  const [presentKeys, presentValues] = [keys, values];
  [keys, values] = [keys, values].map((x) => repeatHeads(e, x, kvHeads, heads / kvHeads)) as [string, string];

  const { bias, test } = maskInput(fused, keys, type);
  const tests = [...(test === null ? [] : [test]), ...positionTests(fused, queries, keys, offset, filled)];
  const core = emitCore(e, {
    queries,
    keys,
    values,
    scale: floatAttribute(node, "scale", 0) || null,
    headWidth: null,
    softcap: floatAttribute(node, "softcap", 0),
    biases: bias === null ? [] : [bias],
    allowed: tests.length === 0 ? null : e.and(...tests),
    hidden: -Infinity,
    guard: tests.length > 0 || bias !== null,
  });
  const back = (x: string): string => (type === DataType.FLOAT ? x : e.cast(x, type as DataType));
  const shown = observed(fused, core.scores, core.weights);
  if (shown === null)
    return {
      reason: `it returns its scores in the form qk_matmul_output_mode ${intAttribute(node, "qk_matmul_output_mode", 0)}`,
    };
  const results = [
    rank === 3 ? mergeHeads(e, core.context) : core.context,
    presentKeys,
    presentValues,
    shown,
  ];
  results.forEach((result, i) => {
    if (wants(fused, i)) e.op("Identity", [back(result)], {}, node.output[i] ?? "");
  });
  return { weights: core.normalised };
};

function countHeads({ node, scope }: FusedNode, rank: 3 | 4): readonly [number, number] | null {
  const size = (i: number): number | null => axisSize(scope.axes.axes(node.input[i] ?? "")?.[1] ?? []);
  const counts =
    rank === 3
      ? [intAttribute(node, "q_num_heads", 0), intAttribute(node, "kv_num_heads", 0)]
      : [size(0), size(1)];
  const [heads, kvHeads] = counts;
  if (heads && kvHeads && heads % kvHeads === 0) return [heads, kvHeads];
  // Without known sizes both are taken to have the same number of heads.
  return rank === 4 && (heads ?? kvHeads) === null ? [1, 1] : null;
}

/** The mask input: boolean true keeps a key, floats are added; a shorter last axis is filled with hidden keys. */
function maskInput(
  fused: FusedNode,
  keys: string,
  type: number,
): { bias: string | null; test: string | null } {
  const { e, scope } = fused;
  const mask = input(fused, 3);
  if (mask === "") return { bias: null, test: null };
  const boolean = scope.types.of(mask) === DataType.BOOL;
  const float = boolean ? e.cast(mask, DataType.FLOAT) : single(e, mask, type);
  const rank = scope.axes.rank(mask);
  const lengths = [scope.axes.axes(mask)?.at(-1), scope.axes.axes(keys)?.at(-2)].map((axis) =>
    axis ? axisSize(axis) : null,
  );
  const fits = rank === null || lengths.includes(null) || lengths[0] === 1 || lengths[0] === lengths[1];
  const full = fits ? float : padded(e, float, keys, rank, boolean ? 0 : -Infinity);
  return boolean ? { bias: null, test: e.cast(full, DataType.BOOL) } : { bias: full, test: null };
}

function padded(e: Emitter, mask: string, keys: string, rank: number, fill: number): string {
  const missing = e.op("Sub", [e.dim(keys, 2), e.dim(mask, rank - 1)]);
  const zeros = e.int(Array.from({ length: 2 * rank - 1 }, () => 0));
  return e.op("Pad", [mask, e.concat([zeros, missing], 0), e.float(fill)]);
}

/** Tests on positions: causal, windows and padding, each boolean and broadcasting to [B, N, S, T]. */
function positionTests(
  fused: FusedNode,
  queries: string,
  keys: string,
  offset: string | null,
  filled: string,
): string[] {
  const { e, node } = fused;
  const causal = intAttribute(node, "is_causal", 0) !== 0;
  const [left, right] = [
    intAttribute(node, "left_window_size", -1),
    intAttribute(node, "right_window_size", -1),
  ];
  const tests: string[] = [];
  const j = e.unsqueeze(e.positions(e.dim(keys, 2)), [0]);
  const i = e.unsqueeze(e.positions(e.dim(queries, 2)), [1]);
  const at = offset === null ? i : e.op("Add", [i, offset]);
  if (causal) tests.push(e.atLeast(at, j));
  if (left >= 0) tests.push(e.atLeast(j, e.op("Sub", [at, e.int(left)])));
  if (right >= 0) tests.push(e.atLeast(e.op("Add", [at, e.int(right)]), j));
  if (filled !== "") tests.push(e.op("Less", [j, e.unsqueeze(filled, [1, 2, 3])]));
  return tests;
}

/** What the fourth output shows; null when the decomposition does not keep it. */
function observed(fused: FusedNode, scores: string, weights: string): string | null {
  if (!wants(fused, 3)) return "";
  const mode = intAttribute(fused.node, "qk_matmul_output_mode", 0);
  if (mode === 3) return weights;
  return mode === 2 ? scores : null;
}
