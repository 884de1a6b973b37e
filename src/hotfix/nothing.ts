import { DataType, floatTensor } from "../onnx/model.ts";
import type { Emitter } from "../onnx/emitter.ts";

/**
 * Emits an empty float tensor, what a branch of an If returns in place of a tensor that only the other one computes.
 * @param rank of the other tensor
 * @param mode int32 [B], any tensor that is known at run time only
 */
export function emitNothing(e: Emitter, rank: number, mode: string): string {
  if (e.opset >= 11) return e.op("Constant", [], { value: floatTensor("", [0], []) });
  // Branches had to agree in rank, and in every length that is known before the run: here none is.
  const one = e.reshape(e.float(0), Array<number>(rank).fill(1));
  return e.op("Tile", [one, e.concat(Array<string>(rank).fill(emitZero(e, mode)), 0)]);
}

/** The tensor that the other branch returns, of a shape that is known at run time only where it must agree. */
export function emitSomething(e: Emitter, x: string, mode: string): string {
  if (e.opset >= 11) return x;
  return e.op("Reshape", [x, e.op("Add", [e.op("Shape", [x]), emitZero(e, mode)])]);
}

/**
 * A bool [1] that is false, and not known to be: the runtime's optimiser (onnxruntime 1.30) puts the branch of an If that
 * stands in a branch in the place of the If where its condition is a constant, and may end the process over it.
 * @param mode int32 [B]
 */
export function emitNever(e: Emitter, mode: string): string {
  return e.cast(emitZero(e, mode), DataType.BOOL);
}

/** An int64 [1] that is 0, and not known to be. */
function emitZero(e: Emitter, mode: string): string {
  return e.op("Mul", [e.cast(e.take(mode, [1], [0]), DataType.INT64), e.int(0)]);
}
