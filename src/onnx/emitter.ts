/**
 * Writes ONNX nodes one call at a time. The forms that differ between opsets are hidden here; the runtime resolves a
 * function body at the opset of the model, whatever the function itself imports.
 */
import {
  atLeastByOrder,
  expandByTile,
  largerByRelu,
  positionsByRecurrence,
  ranksByPairs,
  runningSumByProduct,
  sliceByIndices,
  smallerByRelu,
  takeByIndices,
  whereByRows,
} from "./early-forms.ts";
import { DataType, float } from "./model.ts";
import { NodeWriter } from "./node-writer.ts";

/** Smallest ai.onnx opset whose operators the emitter writes: elementwise operators broadcast since then. */
export const minimumOpset = 7;

type Reduction = "ReduceSum" | "ReduceSumSquare" | "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceProd";

/** Writes operators at the opset of a model. */
export class Emitter extends NodeWriter {
  cast(x: string, to: DataType): string {
    return this.op("Cast", [x], { to });
  }

  toFloat(x: string): string {
    return this.cast(x, DataType.FLOAT);
  }

  /** x > y. */
  greater(x: string, y: string): string {
    return this.op("Greater", this.#comparable(x, y));
  }

  /** 1 where a float that is never below 0 is above it, else 0; float32. */
  positive(x: string): string {
    return this.opset < 9 ? this.toFloat(this.greater(x, this.float(0))) : this.op("Sign", [x]);
  }

  /** x < y. */
  less(x: string, y: string): string {
    return this.op("Less", this.#comparable(x, y));
  }

  /** x ≥ y; false where either is no number. Below opset 11 integers are compared as floats. */
  atLeast(x: string, y: string): string {
    if (this.opset >= 12) return this.op("GreaterOrEqual", [x, y]);
    // Equal takes no floats before opset 11.
    if (this.opset < 11) return atLeastByOrder(this, this.toFloat(x), this.toFloat(y));
    return this.op("Or", [this.op("Greater", [x, y]), this.op("Equal", [x, y])]);
  }

  /** Greater and Less take floats alone before opset 9. */
  #comparable(x: string, y: string): string[] {
    return this.opset < 9 ? [this.toFloat(x), this.toFloat(y)] : [x, y];
  }

  /** The larger of two floats, broadcast. */
  larger(x: string, y: string): string {
    return this.opset < 8 ? largerByRelu(this, x, y) : this.op("Max", [x, y]);
  }

  /** The smaller of two floats, broadcast. */
  smaller(x: string, y: string): string {
    return this.opset < 8 ? smallerByRelu(this, x, y) : this.op("Min", [x, y]);
  }

  /**
   * x where the condition holds, else y; no bit of either changes. x and y have `rank` axes of equal length or 1.
   * @param along the axes over which the condition varies; it has their lengths there and 1 elsewhere
   */
  where(condition: string, x: string, y: string, along: readonly number[], rank: number): string {
    return this.opset < 9
      ? whereByRows(this, condition, x, y, along, rank)
      : this.op("Where", [condition, x, y]);
  }

  /** x repeated along its axes of length 1. @param shape int64 vector, as many as x has axes */
  expand(x: string, shape: string): string {
    return this.opset < 8 ? expandByTile(this, x, shape) : this.op("Expand", [x, shape]);
  }

  and(...tests: readonly string[]): string {
    return tests.reduce((a, b) => this.op("And", [a, b]));
  }

  /** A reduction; `axes` null reduces everything to a scalar. */
  reduce(kind: Reduction, x: string, axes: readonly number[] | null, keepDims = true): string {
    const axesAsInput = this.opset >= (kind === "ReduceSum" ? 13 : 18);
    const keepdims = keepDims && axes !== null ? 1 : 0;
    if (axes === null) return this.op(kind, [x], { keepdims });
    return axesAsInput
      ? this.op(kind, [x, this.int(axes)], { keepdims })
      : this.op(kind, [x], { axes, keepdims });
  }

  /** Whether any element of a bool tensor is true, as a bool scalar or along `axes` (kept). */
  any(x: string, axes: readonly number[] | null = null): string {
    // ReduceMax takes no bool before opset 20.
    return this.cast(this.reduce("ReduceMax", this.cast(x, DataType.INT32), axes), DataType.BOOL);
  }

  reshape(x: string, dims: readonly number[]): string {
    return this.op("Reshape", [x, this.int(dims)]);
  }

  unsqueeze(x: string, axes: readonly number[]): string {
    return this.opset >= 13 ? this.op("Unsqueeze", [x, this.int(axes)]) : this.op("Unsqueeze", [x], { axes });
  }

  squeeze(x: string, axes: readonly number[]): string {
    return this.opset >= 13 ? this.op("Squeeze", [x, this.int(axes)]) : this.op("Squeeze", [x], { axes });
  }

  transpose(x: string, perm: readonly number[]): string {
    return this.op("Transpose", [x], { perm });
  }

  /** x of `rank` axes with `count` zeros before one of them. */
  pad(x: string, axis: number, count: number, rank: number): string {
    const pads = Array.from({ length: 2 * rank }, (_, i) => (i === axis ? count : 0));
    return this.opset >= 11 ? this.op("Pad", [x, this.int(pads)]) : this.op("Pad", [x], { pads });
  }

  concat(parts: readonly string[], axis: number): string {
    return this.op("Concat", parts, { axis });
  }

  gather(x: string, index: string, axis = 0): string {
    return this.op("Gather", [x, index], { axis });
  }

  /** Cuts an axis into parts of the given sizes. */
  split(x: string, axis: number, sizes: readonly number[]): string[] {
    const parts = sizes.map(() => this.fresh("Split"));
    if (this.opset >= 13) this.ops("Split", [x, this.int(sizes)], parts, { axis });
    else this.ops("Split", [x], parts, { axis, split: sizes });
    return parts;
  }

  /** Part of one axis inside it; bounds are int64 vectors of one item. */
  slice(x: string, from: string, to: string, axis: number): string {
    if (this.opset < 10) return sliceByIndices(this, x, from, to, axis);
    return this.op("Slice", [x, from, to, this.int([axis])]);
  }

  /** x cut to the first `ends` entries of `axes`; longer ends are clamped, negative numbers count from the end. */
  take(x: string, ends: string | readonly number[], axes: readonly number[]): string {
    if (this.opset < 10) return takeByIndices(this, x, ends, axes);
    const limits = typeof ends === "string" ? ends : this.int(ends);
    return this.op("Slice", [x, this.int(axes.map(() => 0)), limits, this.int(axes)]);
  }

  /** Lengths of the axes from `start` to before `end` as an int64 vector. */
  dims(x: string, start: number, end: number): string {
    if (this.opset >= 15) return this.op("Shape", [x], { start, end });
    const shape = this.op("Shape", [x]);
    if (this.opset < 10) return this.op("Slice", [shape], { starts: [start], ends: [end], axes: [0] });
    return this.slice(shape, this.int([start]), this.int([end]), 0);
  }

  /** Length of one axis as an int64 [1]. */
  dim(x: string, axis: number): string {
    return this.dims(x, axis, axis + 1);
  }

  /** 0, 1, …, n-1 as int64 [n]. @param length int64 vector of one item */
  positions(length: string): string {
    if (this.opset < 11) return positionsByRecurrence(this, length);
    return this.op("Range", [this.int(0), this.squeeze(length, [0]), this.int(1)]);
  }

  /** For every entry of a float [B,1,T], the sum of those before it, or after it when `reverse`. */
  runningSum(x: string, reverse: boolean): string {
    if (this.opset < 11) return runningSumByProduct(this, x, reverse);
    return this.op("CumSum", [x, this.int(2)], { exclusive: 1, reverse: reverse ? 1 : 0 });
  }

  /** Rank of every entry in its row of a float [B,T], int64 [B,T]; 0 is the highest, ties go to the lower position. */
  ranks(x: string): string {
    if (this.opset < 11) return ranksByPairs(this, x);
    const length = this.dim(x, 1);
    const sort = (values: string, largest: 0 | 1): string => {
      const [sorted, order] = [this.fresh("sorted"), this.fresh("order")];
      this.ops("TopK", [values, length], [sorted, order], { axis: 1, largest, sorted: 1 });
      return order;
    };
    // The order of an order tells where each position stands in it.
    return sort(sort(x, 1), 0);
  }

  /** Limits every element to [low, high]. */
  clip(x: string, low: number, high: number): string {
    if (this.opset < 11) return this.op("Clip", [x], { min: float(low), max: float(high) });
    return this.op("Clip", [x, this.float(low), this.float(high)]);
  }

  /** An emitter for a subgraph: same names, and constants in the outermost graph. */
  branch(): Emitter {
    return new Emitter(this.opset, this.names, this.prefix, this);
  }
}
