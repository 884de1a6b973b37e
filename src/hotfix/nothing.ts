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
  const zero = e.op("Mul", [e.cast(e.take(mode, [1], [0]), DataType.INT64), e.int(0)]);
  const one = e.reshape(e.float(0), Array<number>(rank).fill(1));
  return e.op("Tile", [one, e.concat(Array<string>(rank).fill(zero), 0)]);
}
