/** What the emitter writes below opset 11 in place of operators, types and inputs that came later. */
import type { Emitter } from "./emitter.ts";
import { DataType } from "./model.ts";

/** x ≥ y for floats; false where either is no number, which a plain "not less" would accept. */
export function atLeastByOrder(e: Emitter, x: string, y: string): string {
  return e.and(e.op("Not", [e.op("Less", [x, y])]), isNumber(e, x), isNumber(e, y));
}

/** What is no number is neither below +∞ nor above −∞. */
function isNumber(e: Emitter, x: string): string {
  return e.op("Or", [
    e.op("Less", [x, e.float(Number.POSITIVE_INFINITY)]),
    e.op("Greater", [x, e.float(Number.NEGATIVE_INFINITY)]),
  ]);
}

/** The larger of two floats: Max does not broadcast before opset 8. */
export function largerByRelu(e: Emitter, x: string, y: string): string {
  return e.op("Add", [y, e.op("Relu", [e.op("Sub", [x, y])])]);
}

export function smallerByRelu(e: Emitter, x: string, y: string): string {
  return e.op("Sub", [y, e.op("Relu", [e.op("Sub", [y, x])])]);
}

/** x repeated along its axes of length 1. @param shape int64 vector, as many as x has axes */
export function expandByTile(e: Emitter, x: string, shape: string): string {
  const lengths = e.op("Shape", [x]);
  // Empty axes stay empty; nothing may be divided by their length.
  const isEmpty = e.cast(e.op("Equal", [lengths, e.int(0)]), DataType.INT64);
  return e.op("Tile", [x, e.op("Div", [shape, e.op("Add", [lengths, isEmpty])])]);
}

/**
 * x where the condition holds, else y. Both are cut into rows along the axes of the condition, one under the other; the
 * wanted rows are picked by number, so that no arithmetic touches them.
 */
export function whereByRows(
  e: Emitter,
  condition: string,
  x: string,
  y: string,
  along: readonly number[],
  rank: number,
): string {
  const lengths = [x, y].map((each) => e.unsqueeze(e.op("Shape", [each]), [0]));
  const shape = e.reduce("ReduceMax", e.concat(lengths, 0), [0], false);
  const axes = Array.from({ length: rank }, (_, axis) => axis);
  const order = [...along, ...axes.filter((axis) => !along.includes(axis))];
  const ordered = e.gather(shape, e.int(order));
  const count =
    along.length === 0 ? e.int([1]) : e.reduce("ReduceProd", e.take(ordered, [along.length], [0]), [0]);
  const rowShape = e.concat([count, e.int([-1])], 0);
  const rows = [x, y].map((each) => e.op("Reshape", [e.transpose(e.expand(each, shape), order), rowShape]));
  const fails = e.cast(e.op("Not", [e.reshape(condition, [-1])]), DataType.INT64);
  const wanted = e.op("Add", [e.positions(count), e.op("Mul", [fails, count])]);
  const picked = e.op("Reshape", [e.gather(e.concat(rows, 0), wanted), ordered]);
  return e.transpose(
    picked,
    axes.map((axis) => order.indexOf(axis)),
  );
}

/**
 * 0, 1, …, n-1 as int64 [n]: h_t = relu(1 + h_{t−1}) counts 1, 2, …, exactly up to 2²⁴.
 * @param length int64 vector of one item
 */
export function positionsByRecurrence(e: Emitter, length: string): string {
  // One step more than asked for: the operator takes no empty sequence.
  const ones = e.op("Tile", [e.float([1]), e.op("Add", [length, e.int([1])])]);
  const weight = e.reshape(e.float([1]), [1, 1, 1]);
  const counted = e.op("RNN", [e.unsqueeze(ones, [1, 2]), weight, weight], {
    hidden_size: 1,
    activations: ["Relu"],
  }); // [n+1,1,1,1]
  const numbers = e.squeeze(e.take(counted, [-1], [0]), [1, 2, 3]);
  return e.cast(e.op("Sub", [numbers, e.float(1)]), DataType.INT64);
}

/** Part of one axis inside it, by bounds known at run time: int64 vectors of one item. */
export function sliceByIndices(e: Emitter, x: string, from: string, to: string, axis: number): string {
  const length = e.op("Sub", [to, from]);
  return e.gather(x, e.op("Add", [e.positions(length), from]), axis);
}

/** x cut to the first `ends` entries of `axes`, numbers or an int64 vector; longer ends are clamped. */
export function takeByIndices(
  e: Emitter,
  x: string,
  ends: string | readonly number[],
  axes: readonly number[],
): string {
  if (typeof ends !== "string") return e.op("Slice", [x], { starts: axes.map(() => 0), ends, axes });
  return axes.reduce((part, axis, i) => {
    const lengths = e.concat([e.gather(ends, e.int([i])), e.dim(part, axis)], 0);
    // Min takes no integers before opset 12, ReduceMin does.
    return e.gather(part, e.positions(e.reduce("ReduceMin", lengths, [0])), axis);
  }, x);
}

/** Product of a float [B,1,T] with the matrix of ones above, or below, its diagonal. */
export function runningSumByProduct(e: Emitter, x: string, reverse: boolean): string {
  const position = e.positions(e.dim(x, 2));
  const [row, column] = [e.unsqueeze(position, [1]), e.unsqueeze(position, [0])];
  const counts = reverse ? e.greater(row, column) : e.less(row, column);
  return e.op("MatMul", [x, e.toFloat(counts)]);
}

/** Ranks in a float [B,T], int64 [B,T]: how many others are larger, or equal and in front. */
export function ranksByPairs(e: Emitter, x: string): string {
  const position = e.positions(e.dim(x, 1));
  const inFront = e.less(e.unsqueeze(position, [0]), e.unsqueeze(position, [1])); // [T,T]
  const [own, other] = [e.unsqueeze(x, [2]), e.unsqueeze(x, [1])]; // [B,T,1], [B,1,T]
  const tied = e.and(e.op("Not", [e.op("Less", [other, own])]), inFront);
  const beats = e.op("Or", [e.op("Greater", [other, own]), tied]); // [B,T,T]
  return e.cast(e.reduce("ReduceSum", e.toFloat(beats), [2], false), DataType.INT64);
}
