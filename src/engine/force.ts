/** Columns that a request forces, together with those its detector forces in every sample. Pure. */
import type { Tensor } from "../shared/tensor.ts";

/**
 * @param asked BOOL or UINT8 [B, T] or [B, 1] of the request
 * @param always BOOL [T] of the detector
 * @returns BOOL [B, T]
 */
export function joinForced(asked: Tensor | undefined, always: Tensor, batch: number): Tensor {
  const keys = always.data.length;
  const width = asked?.shape[1] ?? 1;
  const data = Uint8Array.from({ length: batch * keys }, (_, at) => {
    const [sample, key] = [Math.floor(at / keys), at % keys];
    const wanted = asked?.data[sample * width + (width === 1 ? 0 : key)] ?? 0;
    return Number(wanted) !== 0 || Number(always.data[key]) !== 0 ? 1 : 0;
  });
  return { datatype: "BOOL", shape: [batch, keys], data };
}
