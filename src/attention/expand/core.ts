/**
 * The computation all fused operators share: softmax(Q·Kᵀ·scale + bias)·V on [B,N,S,H], [B,N,T,H] and [B,N,T,Hv] in float32.
 * Recipes verified against onnxruntime's kernels; the operators' definitions: onnxruntime ContribOperators.md and onnx Operators.md.
 */
import { DataType } from "../../onnx/model.ts";
import type { Emitter } from "../../onnx/emitter.ts";

/** What the kernels write where a key must not be seen. */
export const lowest = -3.4028234663852886e38;

export interface Core {
  readonly queries: string;
  readonly keys: string;
  readonly values: string;
  /** Factor of the scores; null: 1/√H. */
  readonly scale: number | null;
  /** Head width when it is known. */
  readonly headWidth: number | null;
  readonly softcap?: number;
  /** Added to the scores in this order. */
  readonly biases: readonly string[];
  /** Boolean [.., S, T]; scores elsewhere are set to `hidden`. */
  readonly allowed: string | null;
  readonly hidden?: number;
  /** Logit of a column that takes mass and is dropped: [N] or a scalar; null for none. */
  readonly sink?: string | null;
  /** Rows without any key become zero. */
  readonly guard?: boolean;
}

export interface CoreResult {
  /** Scores before and weights after the normalisation; `normalised` is the softmax's own output. */
  readonly scores: string;
  readonly normalised: string;
  readonly weights: string;
  /** [B, N, S, Hv] */
  readonly context: string;
}

export function emitCore(e: Emitter, core: Core): CoreResult {
  const product = e.op("MatMul", [core.queries, e.transpose(core.keys, [0, 1, 3, 2])]);
  let scores = e.op("Mul", [product, scaleOf(e, core)]);
  if (core.softcap) {
    const cap = e.float(core.softcap);
    scores = e.op("Mul", [e.op("Tanh", [e.op("Div", [scores, cap])]), cap]);
  }
  for (const bias of core.biases) scores = e.op("Add", [scores, bias]);
  if (core.allowed !== null) scores = hide(e, scores, core.allowed, core.hidden ?? lowest);
  let normalised: string;
  let weights: string;
  if (core.sink !== undefined && core.sink !== null) {
    normalised = e.op("Softmax", [e.concat([scores, sinkColumn(e, core.sink, scores)], 3)], { axis: 3 });
    weights = e.slice(normalised, e.int([0]), e.int([-1]), 3);
  } else {
    normalised = weights = e.op("Softmax", [scores], { axis: 3 });
  }
  if (core.guard) weights = e.op("Where", [e.op("IsNaN", [weights]), e.float(0), weights]);
  return { scores, normalised, weights, context: e.op("MatMul", [weights, core.values]) };
}

/** The scores with `hidden` where the test fails. */
function hide(e: Emitter, scores: string, allowed: string, hidden: number): string {
  if (e.opset >= 9) return e.op("Where", [allowed, scores, e.float(hidden)]);
  // What is added swallows the score.
  return e.op("Add", [scores, penalty(e, allowed, hidden)]);
}

/** Float: 0 where the test holds, else `hidden`. */
export function penalty(e: Emitter, allowed: string, hidden: number): string {
  if (e.opset >= 9) return e.op("Where", [allowed, e.float(0), e.float(hidden)]);
  // Infinity times zero is no number.
  return e.op("Mul", [e.toFloat(e.op("Not", [allowed])), e.float(Math.max(hidden, lowest))]);
}

function scaleOf(e: Emitter, { scale, headWidth, queries }: Core): string {
  if (scale !== null) return e.float(scale);
  if (headWidth !== null) return e.float(1 / Math.sqrt(headWidth));
  return e.op("Reciprocal", [e.op("Sqrt", [e.cast(e.dim(queries, 3), DataType.FLOAT)])]);
}

/** The sink's logit as a column [B, N, S, 1]. */
function sinkColumn(e: Emitter, sink: string, scores: string): string {
  const shape = e.concat([e.dim(scores, 0), e.dim(scores, 1), e.dim(scores, 2), e.int([1])], 0);
  return e.op("Expand", [e.reshape(sink, [1, -1, 1, 1]), shape]);
}

/** [B, S, N·H] → [B, N, S, H] */
export function splitHeads(e: Emitter, x: string, heads: number): string {
  return e.transpose(e.reshape(x, [0, 0, heads, -1]), [0, 2, 1, 3]);
}

/** [B, N, S, H] → [B, S, N·H] */
export function mergeHeads(e: Emitter, x: string): string {
  return e.reshape(e.transpose(x, [0, 2, 1, 3]), [0, 0, -1]);
}

/** [B, NK, T, H] → [B, NK·times, T, H], each head `times` times in a row. */
export function repeatHeads(e: Emitter, x: string, kvHeads: number, times: number): string {
  if (times === 1) return x;
  const shape = e.concat([e.dim(x, 0), e.int([kvHeads, times]), e.dim(x, 2), e.dim(x, 3)], 0);
  const copies = e.op("Expand", [e.unsqueeze(x, [2]), shape]);
  return e.op("Reshape", [
    copies,
    e.concat([e.dim(x, 0), e.int([kvHeads * times]), e.dim(x, 2), e.dim(x, 3)], 0),
  ]);
}

/**
 * Whether query i may see key j by position: j ≤ i + offset. Boolean [.., S, T].
 * @param offset int64, broadcasts with [S, 1]
 */
export function causalTest(e: Emitter, queries: string, keys: string, offset: string | null): string {
  const i = e.unsqueeze(e.positions(e.dim(queries, 2)), [1]);
  const j = e.unsqueeze(e.positions(e.dim(keys, 2)), [0]);
  return e.atLeast(offset === null ? i : e.op("Add", [i, offset]), j);
}

/** float32 of a tensor of any float type. */
export function single(e: Emitter, x: string, type: number): string {
  return type === DataType.FLOAT ? x : e.cast(x, DataType.FLOAT);
}
