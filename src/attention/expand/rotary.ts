/** Rotary position embedding as com.microsoft GroupQueryAttention applies it. */
import type { Emitter } from "../../onnx/emitter.ts";

export interface Rotation {
  /** [positions, H/2] */
  readonly cos: string;
  readonly sin: string;
  /** int64 [B, S] */
  readonly at: string;
  readonly interleaved: boolean;
  /** Width of a half: H/2, or less when only the first features are rotated. */
  readonly half: number;
  readonly headWidth: number;
}

/** @param x [B, N, S, H] */
export function rotate(e: Emitter, x: string, r: Rotation): string {
  const [cos, sin] = [r.cos, r.sin].map((table) =>
    e.unsqueeze(e.op("Gather", [table, r.at], { axis: 0 }), [1]),
  ) as [string, string];
  const rest = r.headWidth - 2 * r.half;
  const [turning = x, still] = rest > 0 ? e.split(x, 3, [2 * r.half, rest]) : [x];
  const [a, b] = r.interleaved
    ? pairs(e, turning, r.half)
    : (e.split(turning, 3, [r.half, r.half]) as [string, string]);
  const first = e.op("Sub", [e.op("Mul", [a, cos]), e.op("Mul", [b, sin])]);
  const second = e.op("Add", [e.op("Mul", [a, sin]), e.op("Mul", [b, cos])]);
  const turned = r.interleaved
    ? e.reshape(e.concat([e.unsqueeze(first, [4]), e.unsqueeze(second, [4])], 4), [0, 0, 0, 2 * r.half])
    : e.concat([first, second], 3);
  return still === undefined ? turned : e.concat([turned, still], 3);
}

/** Even and odd features. */
function pairs(e: Emitter, x: string, half: number): [string, string] {
  const parts = e.split(e.reshape(x, [0, 0, 0, half, 2]), 4, [1, 1]);
  return parts.map((part) => e.squeeze(part, [4])) as [string, string];
}
