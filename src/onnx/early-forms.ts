/** What the emitter writes below opset 11 in place of operators, types and inputs that came later. */
import type { Emitter } from "./emitter.ts";
import { DataType, int64Tensor } from "./model.ts";

/** x ≥ y for floats; false where either is no number, which a plain "not less" would accept. */
export function atLeastByNaN(e: Emitter, x: string, y: string): string {
  const unordered = e.op("Or", [e.op("IsNaN", [x]), e.op("IsNaN", [y])]);
  return e.op("Not", [e.op("Or", [e.op("Less", [x, y]), unordered])]);
}

/** 0, 1, …, n-1 as int64 [n]: where a vector of ones is not zero. @param length int64 vector of one item */
export function positionsByNonZero(e: Emitter, length: string): string {
  const ones = e.op("ConstantOfShape", [length], { value: int64Tensor("", [1], [1]) });
  return e.squeeze(e.op("NonZero", [ones]), [0]);
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
  const counts = e.op(reverse ? "Greater" : "Less", [row, column]);
  return e.op("MatMul", [x, e.toFloat(counts)]);
}

/** Ranks in a float [B,T], int64 [B,T]: how many others are larger, or equal and in front. */
export function ranksByPairs(e: Emitter, x: string): string {
  const position = e.positions(e.dim(x, 1));
  const inFront = e.op("Less", [e.unsqueeze(position, [0]), e.unsqueeze(position, [1])]); // [T,T]
  const [own, other] = [e.unsqueeze(x, [2]), e.unsqueeze(x, [1])]; // [B,T,1], [B,1,T]
  const tied = e.and(e.op("Not", [e.op("Less", [other, own])]), inFront);
  const beats = e.op("Or", [e.op("Greater", [other, own]), tied]); // [B,T,T]
  return e.cast(e.reduce("ReduceSum", e.toFloat(beats), [2], false), DataType.INT64);
}
