/** com.microsoft GroupQueryAttention: heads that share keys, a cache per sample, rotary positions, sinks. */
import { axisSize } from "../../onnx/axes/atom.ts";
import { DataType, floatAttribute, intAttribute } from "../../onnx/model.ts";
import { emitCore, mergeHeads, repeatHeads, single, splitHeads } from "./core.ts";
import type { Emitter } from "../../onnx/emitter.ts";
import { input, wants, type Expand, type FusedNode } from "./expansion.ts";
import { rotate } from "./rotary.ts";

const inputs = {
  pastKeys: 3,
  pastValues: 4,
  lastKeys: 5,
  totalLength: 6,
  cos: 7,
  sin: 8,
  positions: 9,
  bias: 10,
  sink: 11,
} as const;

export const expandGroupQueryAttention: Expand = (fused) => {
  const { e, node, scope } = fused;
  const [heads, kvHeads] = [intAttribute(node, "num_heads", 0), intAttribute(node, "kv_num_heads", 0)];
  const fault = faultOf(fused, heads, kvHeads);
  if (fault !== null) return { reason: fault };
  const type = scope.types.of(input(fused, 0)) ?? DataType.FLOAT;
  const headWidth = headWidthOf(fused, heads, kvHeads);
  const rotary = intAttribute(node, "do_rotary", 0) !== 0;
  if (rotary && headWidth === null) return { reason: "the width of its heads is unknown" };

  const packed = input(fused, 1) === "";
  if (packed && headWidth === null) return { reason: "the width of its heads is unknown" };
  const parts = packed
    ? e.split(
        input(fused, 0),
        2,
        [heads, kvHeads, kvHeads].map((count) => count * (headWidth ?? 0)),
      )
    : [0, 1, 2].map((i) => input(fused, i));
  let [queries = "", keys = "", values = ""] = parts.map((part, i) =>
    splitHeads(e, single(e, part, type), i === 0 ? heads : kvHeads),
  );

  // Keys that count per sample, and of those the ones from before this run: int64 [B, 1].
  const total = e.op("Add", [
    e.unsqueeze(e.reshape(e.cast(input(fused, inputs.lastKeys), DataType.INT64), [-1]), [1]),
    e.int(1),
  ]);
  const length = e.dim(queries, 2);
  const past = e.op("Max", [e.op("Sub", [total, length]), e.int(0)]);
  if (rotary) {
    const given = input(fused, inputs.positions);
    const at =
      given === ""
        ? e.op("Add", [past, e.unsqueeze(e.positions(length), [0])])
        : e.cast(given, DataType.INT64);
    const cos = single(e, input(fused, inputs.cos), type);
    const half = axisSize(scope.axes.axes(input(fused, inputs.cos))?.[1] ?? []) ?? (headWidth ?? 0) / 2;
    const interleaved = intAttribute(node, "rotary_interleaved", 0) !== 0;
    const rotation = {
      cos,
      sin: single(e, input(fused, inputs.sin), type),
      at,
      interleaved,
      half,
      headWidth: headWidth ?? 0,
    };
    [queries, keys] = [rotate(e, queries, rotation), rotate(e, keys, rotation)];
  }
  const cached = input(fused, inputs.pastKeys) !== "" && input(fused, inputs.pastValues) !== "";
  if (cached) {
    const end = e.reshape(e.cast(input(fused, inputs.totalLength), DataType.INT64), [1]);
    keys = appended(e, single(e, input(fused, inputs.pastKeys), type), keys, past, end);
    values = appended(e, single(e, input(fused, inputs.pastValues), type), values, past, end);
  }
  const [presentKeys, presentValues] = [keys, values];
  const bias = input(fused, inputs.bias);
  const sink = input(fused, inputs.sink);
  const smooth = intAttribute(node, "smooth_softmax", 0) > 0;
  const core = emitCore(e, {
    queries,
    keys: repeatHeads(e, keys, kvHeads, heads / kvHeads),
    values: repeatHeads(e, values, kvHeads, heads / kvHeads),
    scale: floatAttribute(node, "scale", 0) || null,
    headWidth,
    softcap: floatAttribute(node, "softcap", 0),
    biases: bias === "" ? [] : [single(e, bias, type)],
    allowed: visible(fused, queries, keys, total, past),
    sink: sink !== "" ? single(e, sink, type) : smooth ? e.float(0) : null,
  });
  const back = (x: string): string => (type === DataType.FLOAT ? x : e.cast(x, type as DataType));
  const shown = intAttribute(node, "qk_output", 0) === 2 ? core.weights : core.scores;
  [mergeHeads(e, core.context), presentKeys, presentValues, shown].forEach((result, i) => {
    if (wants(fused, i)) e.op("Identity", [back(result)], {}, node.output[i] ?? "");
  });
  return { weights: core.normalised };
};

function faultOf(fused: FusedNode, heads: number, kvHeads: number): string | null {
  const { node } = fused;
  if (heads < 1 || kvHeads < 1 || heads % kvHeads !== 0) return "its numbers of heads do not fit each other";
  if (node.input.slice(12).some((name) => name !== ""))
    return "its cache is quantised or it normalises queries and keys";
  if (intAttribute(node, "sliding_window_cache", 0) !== 0) return "its cache is a sliding window";
  return input(fused, inputs.lastKeys) === "" ? "it has no lengths of its keys" : null;
}

function headWidthOf({ node, scope }: FusedNode, heads: number, kvHeads: number): number | null {
  const size = (name: string | undefined, axis: number): number | null => {
    const axes = scope.axes.axes(name ?? "");
    return axes?.[axis] ? axisSize(axes[axis]) : null;
  };
  const packed = (node.input[1] ?? "") === "";
  const width = size(node.input[0], 2);
  const cached = size(node.input[inputs.pastKeys], 3);
  const keys = packed ? null : size(node.input[1], 2);
  if (width !== null) return width / (packed ? heads + 2 * kvHeads : heads);
  return cached ?? (keys === null ? null : keys / kvHeads);
}

/**
 * The cache [B,NK,M,H] with the new rows put in at each sample's own length; rows nobody wrote are zero.
 * @param past int64 [B, 1] @param end int64 vector: longest total length
 */
function appended(e: Emitter, cache: string, rows: string, past: string, end: string): string {
  const both = e.concat([cache, rows], 2);
  const size = e.dim(cache, 2);
  const slot = e.unsqueeze(e.positions(e.op("Max", [size, end])), [0]);
  const fresh = e.op("Sub", [slot, past]);
  const isOld = e.op("Less", [slot, past]);
  const isNew = e.and(e.op("Not", [isOld]), e.op("Less", [fresh, e.dim(rows, 2)]));
  const source = e.op("Where", [isNew, e.op("Add", [fresh, size]), e.op("Where", [isOld, slot, e.int(0)])]);
  const shape = e.concat([e.dim(both, 0), e.dim(both, 1), e.dim(source, 1), e.dim(both, 3)], 0);
  const spread = e.op("Expand", [e.unsqueeze(source, [1, 3]), shape]);
  const picked = e.op("GatherElements", [both, spread], { axis: 2 });
  const written = e.op("Or", [isOld, isNew]);
  return e.op("Where", [e.unsqueeze(written, [1, 3]), picked, e.float(0)]);
}

/** Boolean [B, 1, S, T] */
function visible(fused: FusedNode, queries: string, keys: string, total: string, past: string): string {
  const { e, node } = fused;
  const j = e.unsqueeze(e.positions(e.dim(keys, 2)), [0, 1, 2]);
  const i = e.op("Add", [e.unsqueeze(e.positions(e.dim(queries, 2)), [0, 1, 3]), e.unsqueeze(past, [2, 3])]);
  const tests = [e.op("Less", [j, e.unsqueeze(total, [2, 3])])];
  if (intAttribute(node, "causal", 1) !== 0) tests.push(e.atLeast(i, j));
  const window = intAttribute(node, "local_window_size", -1);
  if (window > 0) tests.push(e.op("Less", [e.op("Sub", [i, j]), e.int(window)]));
  return e.and(...tests);
}
