/** com.microsoft Attention and QAttention: projection of one input to queries, keys and values, then attention. */
import { axisSize } from "../../onnx/axes/atom.ts";
import { DataType, findAttribute, floatAttribute, intAttribute, intsAttribute } from "../../onnx/model.ts";
import { causalTest, emitCore, mergeHeads, single, splitHeads } from "./core.ts";
import { input, wants, type Expand, type FusedNode } from "./expansion.ts";
import { keyMaskBias } from "./key-mask.ts";

/** What both operators do after their projection. */
interface Projected {
  /** [B, S, Dq + Dk + Dv] */
  readonly projection: string;
  readonly weight: string;
  readonly type: number;
  readonly mask: string;
  readonly past: string;
  readonly bias: string;
}

export const expandAttention: Expand = (fused) => {
  const { e, scope } = fused;
  const fault = faultOf(fused);
  if (fault !== null) return { reason: fault };
  if (input(fused, 6) !== "") return { reason: "it keeps its past in a buffer shared between runs" };
  const product = e.op("MatMul", [input(fused, 0), input(fused, 1)]);
  const bias = input(fused, 2);
  return emit(fused, {
    projection: bias === "" ? product : e.op("Add", [product, bias]),
    weight: input(fused, 1),
    type: scope.types.of(input(fused, 0)) ?? DataType.FLOAT,
    mask: input(fused, 3),
    past: input(fused, 4),
    bias: input(fused, 5),
  });
};

export const expandQAttention: Expand = (fused) => {
  const { e } = fused;
  const fault = faultOf(fused);
  if (fault !== null) return { reason: fault };
  const [data, weight, bias, dataScale, weightScale] = [0, 1, 2, 3, 4].map((i) => input(fused, i));
  const [dataZero, weightZero] = [input(fused, 6), input(fused, 7)];
  const zeros = weightZero === "" ? (dataZero === "" ? [] : [dataZero]) : [dataZero, weightZero];
  const product = e.op("MatMulInteger", [data ?? "", weight ?? "", ...zeros]);
  const scaled = e.op("Mul", [
    e.cast(product, DataType.FLOAT),
    e.op("Mul", [dataScale ?? "", weightScale ?? ""]),
  ]);
  return emit(fused, {
    projection: e.op("Add", [scaled, bias ?? ""]),
    weight: weight ?? "",
    type: DataType.FLOAT,
    mask: input(fused, 5),
    past: input(fused, 8),
    bias: "",
  });
};

function faultOf(fused: FusedNode): string | null {
  const { node, scope } = fused;
  if (intAttribute(node, "do_rotary", 0) !== 0) return "it rotates its queries and keys itself (do_rotary)";
  if (intAttribute(node, "past_present_share_buffer", 0) !== 0)
    return "it keeps its past in a buffer shared between runs";
  const [mask, weight] = [input(fused, node.opType === "QAttention" ? 5 : 3), input(fused, 1)];
  const rank = mask === "" ? 2 : scope.axes.rank(mask);
  if (rank === null || rank > 3) return "its mask has a form only other runtimes take";
  if (!intsAttribute(node, "qkv_hidden_sizes") && axisSize(scope.axes.axes(weight)?.[1] ?? []) === null) {
    return "the width of its weight is unknown";
  }
  return null;
}

function emit(fused: FusedNode, projected: Projected): { weights: string } {
  const { e, node, scope } = fused;
  const heads = intAttribute(node, "num_heads", 1);
  const third = (axisSize(scope.axes.axes(projected.weight)?.[1] ?? []) ?? 0) / 3;
  const sizes = intsAttribute(node, "qkv_hidden_sizes") ?? [third, third, third];
  const parts = e
    .split(projected.projection, 2, sizes)
    .map((part) => splitHeads(e, single(e, part, projected.type), heads));
  const [queries = "", newKeys = "", newValues = ""] = parts;
  let [keys, values] = [newKeys, newValues];
  let offset: string | null = null;
  if (projected.past !== "") {
    const past = [0, 1].map((i) =>
      single(e, e.op("Gather", [projected.past, e.int(i)], { axis: 0 }), projected.type),
    );
    offset = e.dim(past[0] ?? "", 2);
    [keys, values] = [e.concat([past[0] ?? "", newKeys], 2), e.concat([past[1] ?? "", newValues], 2)];
  }
  const filter = floatAttribute(node, "mask_filter_value", -10000);
  const biases = projected.bias === "" ? [] : [single(e, projected.bias, projected.type)];
  const rank = projected.mask === "" ? null : (scope.axes.rank(projected.mask) as 1 | 2 | 3);
  if (rank !== null)
    biases.push(keyMaskBias(e, projected.mask, rank, e.dim(projected.projection, 0), keys, filter));
  const causal = intAttribute(node, "unidirectional", 0) !== 0;
  const core = emitCore(e, {
    queries,
    keys,
    values,
    scale: findAttribute(node, "scale") ? floatAttribute(node, "scale", 0) || null : null,
    headWidth: (sizes[0] ?? 0) / heads,
    biases,
    allowed: causal ? causalTest(e, queries, keys, offset) : null,
  });
  const back = (x: string): string =>
    projected.type === DataType.FLOAT ? x : e.cast(x, projected.type as DataType);
  e.op("Identity", [back(mergeHeads(e, core.context))], {}, node.output[0] ?? "");
  if (wants(fused, 1))
    e.op(
      "Identity",
      [back(e.concat([e.unsqueeze(keys, [0]), e.unsqueeze(values, [0])], 0))],
      {},
      node.output[1] ?? "",
    );
  return { weights: core.normalised };
}
