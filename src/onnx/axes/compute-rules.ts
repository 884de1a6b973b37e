/** Operators that sum over axes or make new ones: products, convolutions, reductions, recurrent and embedding layers. */
import { contractionOf, operatorOf } from "../contraction.ts";
import { intAttribute, intsAttribute, stringAttribute } from "../model.ts";
import { axisSize, type Axis } from "./atom.ts";
import {
  axesArgument,
  axisAttribute,
  broadcastAxes,
  freshAxis,
  type Rule,
  type RuleContext,
} from "./rule.ts";

/** Axes of a product of two tensors; undefined when the node is none. */
export function contractionRule(c: RuleContext): readonly (readonly Axis[] | null)[] | undefined {
  const product = contractionOf(c.node, (input) => c.axes(input)?.length ?? null);
  if (!product) return undefined;
  const find = (
    operand: { input: number; axes: readonly string[] },
    letter: string,
  ): { axes: Axis[] | null; origin: 0 | 1 | 2 } => {
    const axis = c.axes(operand.input)?.[operand.axes.indexOf(letter)];
    return { axes: operand.axes.includes(letter) ? [axis ?? []] : null, origin: c.origin(operand.input) };
  };
  return [
    product.output.map(
      (letter) => broadcastAxes([find(product.left, letter), find(product.right, letter)])?.[0] ?? [],
    ),
  ];
}

const reduce: Rule = (c) => {
  const axes = c.axes(0);
  const over = axes ? axesArgument(c, 1, axes.length) : null;
  if (!axes || over === null) return [null];
  const all = over === undefined && intAttribute(c.node, "noop_with_empty_axes", 0) === 0;
  const gone = (i: number): boolean => (over ? over.includes(i) : all);
  const keep = intAttribute(c.node, "keepdims", 1) !== 0;
  return [axes.flatMap((axis, i) => (gone(i) ? (keep ? [[]] : []) : [axis]))];
};

const argReduce: Rule = (c) => {
  const axes = c.axes(0);
  const at = axes ? axisAttribute(c, axes.length, 0) : null;
  const keep = intAttribute(c.node, "keepdims", 1) !== 0;
  return [axes && at !== null ? axes.flatMap((axis, i) => (i === at ? (keep ? [[]] : []) : [axis])) : null];
};

const topK: Rule = (c) => {
  const axes = c.axes(0);
  const at = axes ? axisAttribute(c, axes.length, -1) : null;
  const result =
    axes && at !== null ? axes.map((axis, i) => (i === at ? freshAxis(c, `${i}`, null) : axis)) : null;
  return c.node.output.map(() => result);
};

/** Convolutions and pools: batch of the data, channels of the weight, and space as the stride leaves it. */
const convolve =
  (data: number, weight: number | null): Rule =>
  (c) => {
    const axes = c.axes(data);
    const kernelAxes = weight === null ? null : c.axes(weight);
    if (!axes || axes.length < 3) return [null];
    const kernel = intsAttribute(c.node, "kernel_shape") ?? kernelAxes?.slice(2).map(axisSize);
    const channels = weight === null ? (axes[1] ?? []) : (kernelAxes?.[0] ?? freshAxis(c, "1", null));
    const space = axes.slice(2).map((axis, i) => windowed(c, axis, i, axes.length - 2, kernel?.[i] ?? null));
    return c.node.output.map((_, i) => (i === 0 ? [axes[0] ?? [], channels, ...space] : null));
  };

function windowed(c: RuleContext, axis: Axis, i: number, count: number, kernel: number | null): Axis {
  const stride = intsAttribute(c.node, "strides")?.[i] ?? 1;
  const pads = intsAttribute(c.node, "pads");
  const padding = (pads?.[i] ?? 0) + (pads?.[i + count] ?? 0);
  const reach = kernel === null ? null : (intsAttribute(c.node, "dilations")?.[i] ?? 1) * (kernel - 1);
  const auto = stringAttribute(c.node, "auto_pad") ?? "NOTSET";
  const same = auto.startsWith("SAME");
  if (stride === 1 && (same || padding === reach)) return axis;
  const size = axisSize(axis);
  const ceil = intAttribute(c.node, "ceil_mode", 0) !== 0;
  let length: number | null = null;
  if (size !== null && same) length = Math.ceil(size / stride);
  else if (size !== null && reach !== null)
    length = (ceil ? Math.ceil : Math.floor)((size + padding - reach - 1) / stride) + 1;
  return c.table.part(axis, `window ${reach} ${stride} ${padding} ${auto}`, length);
}

const globalPool: Rule = (c) => [c.axes(0)?.map((axis, i) => (i < 2 ? axis : [])) ?? null];

const resize: Rule = (c) => [
  c.axes(0)?.map((axis, i) => (i < 2 ? axis : freshAxis(c, `${i}`, null))) ?? null,
];

/** Sequence axis first (or batch first by `layout`), a direction axis, and the hidden size. */
const recurrent: Rule = (c) => {
  const axes = c.axes(0);
  const hidden = freshAxis(c, "hidden", intAttribute(c.node, "hidden_size", 0) || null);
  const directions =
    stringAttribute(c.node, "direction") === "bidirectional" ? freshAxis(c, "directions", 2) : [];
  const [first = [], second = []] = axes ?? [];
  return c.node.output.map((_, i) =>
    axes && i === 0 ? [first, directions, second, hidden] : axes && [directions, second, hidden],
  );
};

const embedding: Rule = (c) => {
  const [ids, table] = [c.axes(0), c.axes(2)];
  return c.node.output.map((_, i) =>
    ids && i !== 1 ? [...ids, table?.[1] ?? freshAxis(c, "2", null)] : ids && [ids[0] ?? []],
  );
};

const packedWeight: Rule = (c) => {
  const axes = c.axes(0);
  return [axes && [...axes.slice(0, -1), freshAxis(c, "n", intAttribute(c.node, "N", 0) || null)]];
};

const oneHot: Rule = (c) => {
  const axes = c.axes(0);
  const at = axes ? axisAttribute(c, axes.length + 1, -1) : null;
  return [axes && at !== null ? axes.toSpliced(at, 0, freshAxis(c, "depth", null)) : null];
};

/** Fused attention: [B, S, …] stays so with features of its own; [B, N, S, H] takes the feature axis of the values. */
const attention: Rule = (c) => {
  const [queries, values] = [c.axes(0), c.axes(2)];
  const features = freshAxis(c, "features", null);
  const heads = queries?.length === 4 && operatorOf(c.node) === "Attention";
  const result = heads
    ? [...queries.slice(0, 3), values?.[3] ?? features]
    : queries && [queries[0] ?? [], queries[1] ?? [], features];
  return c.node.output.map((_, i) => (i === 0 ? result : null));
};

const rules: Readonly<Record<string, Rule>> = {
  ...Object.fromEntries(
    ["Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare"].map((name) => [
      `Reduce${name}`,
      reduce,
    ]),
  ),
  ArgMax: argReduce,
  ArgMin: argReduce,
  TopK: topK,
  Conv: convolve(0, 1),
  ConvInteger: convolve(0, 1),
  QLinearConv: convolve(0, 3),
  MaxPool: convolve(0, null),
  AveragePool: convolve(0, null),
  LpPool: convolve(0, null),
  GlobalAveragePool: globalPool,
  GlobalMaxPool: globalPool,
  Resize: resize,
  Upsample: resize,
  LSTM: recurrent,
  GRU: recurrent,
  RNN: recurrent,
  OneHot: oneHot,
  Attention: attention,
  "com.microsoft.Attention": attention,
  "com.microsoft.QAttention": attention,
  "com.microsoft.MultiHeadAttention": attention,
  "com.microsoft.GroupQueryAttention": attention,
  "com.microsoft.FusedConv": convolve(0, 1),
  "com.microsoft.EmbedLayerNormalization": embedding,
  "com.microsoft.QEmbedLayerNormalization": embedding,
  "com.microsoft.MatMulNBits": packedWeight,
  "com.microsoft.QLinearGlobalAveragePool": globalPool,
};

export function computeRule(c: RuleContext): Rule | undefined {
  return rules[operatorOf(c.node)];
}
