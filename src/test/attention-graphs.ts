/** Small attention graphs with every choice an exporter may make, for tests that build many of them. */
import { DataType, floatTensor, int64Tensor, type ModelProto } from "../onnx/model.ts";
import { GraphBuilder } from "./graph-builder.ts";

export const heads = 2;
export const width = 8;

export interface AttentionChoices {
  readonly opset: 7 | 8 | 9 | 10 | 11 | 13 | 17 | 18;
  readonly layout: "B,H" | "B*H" | "H*B" | "columns" | "keras" | "flat rows";
  readonly scale: "none" | "mul" | "div" | "both sides";
  readonly mask: "none" | "add" | "where" | "causal";
  readonly after: readonly ("dropout" | "guard" | "cast" | "gate" | "quantise")[];
  readonly normalise: "softmax" | "exp";
  readonly source: "self" | "cross" | "learned";
  readonly dynamic: boolean;
}

export interface Built {
  readonly model: ModelProto;
  /** Tensor that must be patched. */
  readonly map: string;
}

const headWidth = width / heads;
const [queries, keys] = [5, 7];

/** One attention layer with a residual connection, as the choices say. */
export function attentionGraph(choices: AttentionChoices): Built {
  const g = new GraphBuilder();
  const keySource = choices.source === "self" ? "x" : "memory";
  const linear = (x: string): string =>
    g.op("Add", [g.op("MatMul", [x, g.weight(width, width)]), g.weight(width)]);
  const split = (x: string): string => g.op("Reshape", [x, g.ints(0, 0, heads, headWidth)]);
  const turned = (x: string): string => g.op("Transpose", [split(x)], { perm: [0, 2, 1, 3] });
  const folded = (x: string): string => g.op("Reshape", [turned(x), g.ints(-1, keysOf(x), headWidth)]);
  const lengths = new Map<string, number>();
  const keysOf = (x: string): number => lengths.get(x) ?? 0;
  const project = (x: string, length: number): string => {
    const projected = x === "learned" ? learnedQueries(g) : linear(x);
    lengths.set(projected, length);
    return projected;
  };
  const queryCount = choices.source === "learned" ? 3 : queries;
  const keyCount = choices.source === "self" ? queries : keys;
  let q = project(choices.source === "learned" ? "learned" : "x", queryCount);
  const [k, v] = [project(keySource, keyCount), project(keySource, keyCount)];
  if (choices.scale === "both sides") q = scaled(g, q, lengths);

  const bring =
    choices.layout === "B*H"
      ? folded
      : choices.layout === "H*B"
        ? (x: string) => headsOutside(g, x)
        : choices.layout === "keras"
          ? split
          : turned;
  const [qh, kh, vh] = [bring(q), bring(k), bring(v)];
  const rank = choices.layout === "B*H" || choices.layout === "H*B" ? 3 : 4;
  const swap = rank === 3 ? [0, 2, 1] : [0, 1, 3, 2];
  let scores: string;
  if (choices.layout === "keras") scores = g.op("Einsum", [kh, qh], { equation: "aecd,abcd->acbe" });
  else if (choices.layout === "columns")
    scores = g.op("MatMul", [kh, g.op("Transpose", [qh], { perm: swap })]);
  else scores = g.op("MatMul", [qh, g.op("Transpose", [kh], { perm: swap })]);
  if (choices.scale === "mul") scores = g.op("Mul", [scores, g.scalar(0.5)]);
  if (choices.scale === "div") scores = g.op("Div", [scores, g.scalar(2)]);
  scores = masked(g, scores, choices, rank, queryCount, keyCount);

  const axis = choices.layout === "columns" ? rank - 2 : rank - 1;
  let map: string;
  if (choices.layout === "flat rows") {
    const flat = g.op("Reshape", [scores, g.ints(-1, keyCount)]);
    const rows = normalised(g, flat, choices, 1);
    map = g.op("Reshape", [rows, g.ints(-1, heads, queryCount, keyCount)]);
  } else map = normalised(g, scores, choices, axis);
  let weights = map;
  for (const step of choices.after) {
    if (step === "quantise") {
      const zero = g.fresh("z");
      g.constants.push({
        ...int64Tensor(zero, [], [0]),
        dataType: DataType.UINT8,
        rawData: new Uint8Array(1),
      });
      const scale = g.scalar(1 / 256);
      weights = g.op("DequantizeLinear", [g.op("QuantizeLinear", [weights, scale, zero]), scale, zero]);
      continue;
    }
    map = weights = changed(g, weights, step, rank, choices.opset);
  }
  let out: string;
  if (choices.layout === "keras") out = g.op("Einsum", [weights, vh], { equation: "acbe,aecd->abcd" });
  else if (choices.layout === "columns") {
    const product = g.op("MatMul", [g.op("Transpose", [vh], { perm: swap }), weights]);
    out = g.op("Transpose", [product], { perm: [0, 3, 1, 2] });
  } else if (rank === 4) out = g.op("Transpose", [g.op("MatMul", [weights, vh])], { perm: [0, 2, 1, 3] });
  else if (choices.layout === "B*H") {
    const unfolded = g.op("Reshape", [
      g.op("MatMul", [weights, vh]),
      g.ints(-1, heads, queryCount, headWidth),
    ]);
    out = g.op("Transpose", [unfolded], { perm: [0, 2, 1, 3] });
  } else {
    const unfolded = g.op("Reshape", [
      g.op("MatMul", [weights, vh]),
      g.ints(heads, -1, queryCount, headWidth),
    ]);
    out = g.op("Transpose", [unfolded], { perm: [1, 2, 0, 3] });
  }
  const merged = linear(g.op("Reshape", [out, g.ints(-1, queryCount, width)]));
  const result = choices.source === "learned" ? merged : g.op("Add", ["x", merged]);
  const batch = choices.dynamic ? "batch" : 3;
  return {
    model: g.model(result, { x: [batch, queries, width], memory: [batch, keys, width] }, choices.opset),
    map,
  };
}

function learnedQueries(g: GraphBuilder): string {
  const shape = g.op("Shape", ["memory"]);
  const batch = g.op("Gather", [shape, g.ints(0)], { axis: 0 });
  const target = g.op("Concat", [batch, g.ints(3, width)], { axis: 0 });
  return g.op("Expand", [g.weight(1, 3, width), target]);
}

function scaled(g: GraphBuilder, x: string, lengths: Map<string, number>): string {
  const result = g.op("Mul", [x, g.scalar(0.5)]);
  lengths.set(result, lengths.get(x) ?? 0);
  return result;
}

/** [B, T, D] → [H·B, T, d] by cutting features and stacking the pieces along the batch. */
function headsOutside(g: GraphBuilder, x: string): string {
  const pieces = Array.from({ length: heads }, (_, i) =>
    g.op("Slice", [x, g.ints(i * headWidth), g.ints((i + 1) * headWidth), g.ints(2)]),
  );
  return g.op("Concat", pieces, { axis: 0 });
}

function masked(
  g: GraphBuilder,
  scores: string,
  { mask, layout }: AttentionChoices,
  rank: number,
  queryCount: number,
  keyCount: number,
): string {
  if (mask === "none") return scores;
  const [rows, columns] = layout === "columns" ? [keyCount, queryCount] : [queryCount, keyCount];
  const dims = rank === 3 ? [1, rows, columns] : [1, 1, rows, columns];
  const name = g.fresh("mask");
  const hidden = Array.from({ length: rows * columns }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    return mask === "causal" ? column > row + Math.max(0, columns - rows) : row === 1 && column === 1;
  });
  g.constants.push(
    floatTensor(
      name,
      dims,
      hidden.map((hide) => (hide ? -1e9 : 0)),
    ),
  );
  if (mask !== "where") return g.op("Add", [scores, name]);
  const condition = g.op("Cast", [name], { to: DataType.BOOL });
  return g.op("Where", [condition, g.scalar(-1e9), scores]);
}

function normalised(
  g: GraphBuilder,
  scores: string,
  { normalise, opset }: AttentionChoices,
  axis: number,
): string {
  if (normalise === "softmax") return g.op("Softmax", [scores], { axis });
  const reduce = (type: string, x: string): string =>
    type === "ReduceSum"
      ? opset >= 13
        ? g.op(type, [x, g.ints(axis)])
        : g.op(type, [x], { axes: [axis] })
      : opset >= 18
        ? g.op(type, [x, g.ints(axis)])
        : g.op(type, [x], { axes: [axis] });
  const powers = g.op("Exp", [g.op("Sub", [scores, reduce("ReduceMax", scores)])]);
  return g.op("Div", [powers, reduce("ReduceSum", powers)]);
}

function changed(
  g: GraphBuilder,
  weights: string,
  step: "dropout" | "guard" | "cast" | "gate",
  rank: number,
  opset: number,
): string {
  switch (step) {
    case "dropout":
      return g.op("Dropout", opset >= 12 ? [weights, g.scalar(0.1)] : [weights]);
    case "guard":
      return g.op("Where", [g.op("IsNaN", [weights]), g.scalar(0), weights]);
    case "cast":
      return g.op("Cast", [g.op("Cast", [weights], { to: DataType.DOUBLE })], { to: DataType.FLOAT });
    case "gate":
      return g.op("Mul", [weights, rank === 3 ? g.scalar(0.5) : g.weight(1, heads, 1, 1)]);
  }
}
