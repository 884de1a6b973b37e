/**
 * The integer masks of com.microsoft Attention, MultiHeadAttention and QAttention as an additive bias.
 * Kernel: onnxruntime core/providers/cpu/… attention_helper; a masked key gets `filter`, which is finite, so that a row
 * without any key falls back to its unmasked distribution.
 */
import { DataType } from "../../onnx/model.ts";
import type { Emitter } from "../../onnx/emitter.ts";
import { penalty } from "./core.ts";

/**
 * @param mask int32: [B,T] or [B,S,T] with 1 for visible keys; [B] with ends, or [2B] with ends and then starts
 * @param rank its rank
 * @param batch int64 vector of one item: B
 * @param keys float32 [B,N,T,H], past included
 * @returns float32 bias that broadcasts to [B,N,S,T]
 */
export function keyMaskBias(
  e: Emitter,
  mask: string,
  rank: 1 | 2 | 3,
  batch: string,
  keys: string,
  filter: number,
): string {
  const visible =
    rank === 1 ? withinEnds(e, mask, batch, keys) : e.greater(e.cast(mask, DataType.INT64), e.int(0));
  const spread = rank === 3 ? e.unsqueeze(visible, [1]) : e.unsqueeze(visible, [1, 2]);
  return penalty(e, spread, filter);
}

/** Boolean [B, T]: start ≤ j < end. */
function withinEnds(e: Emitter, mask: string, batch: string, keys: string): string {
  const zeros = e.expand(e.int([0]), batch);
  // With [B] the second part is zeros, with [2B] it is the starts.
  const padded = e.concat([e.cast(mask, DataType.INT64), zeros], 0);
  const twice = e.op("Mul", [batch, e.int([2])]);
  const end = e.unsqueeze(e.slice(padded, e.int([0]), batch, 0), [1]);
  const start = e.unsqueeze(e.slice(padded, batch, twice, 0), [1]);
  const j = e.unsqueeze(e.positions(e.dim(keys, 2)), [0]);
  return e.and(e.greater(end, j), e.atLeast(j, start));
}
