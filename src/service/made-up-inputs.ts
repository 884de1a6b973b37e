/** Inputs that a model can be run with when nobody has sent any. */
import { datatypes, elementCount, type Tensor, type TensorInfo, type TypedArray } from "../shared/tensor.ts";

/** Length given to dimensions that vary and that nothing is said about. */
const fallbackLength = 8;

/**
 * Numbers from 0 to 1 for real inputs, ones for the others (ids and masks).
 * @param samples size of the batch, where the graph leaves it open
 * @param keys length of the other open dimensions; some length when null
 * @returns null when an input takes text
 */
export function madeUpInputs(
  infos: readonly TensorInfo[],
  samples: number,
  keys: number | null,
): Record<string, Tensor> | null {
  const made: [string, Tensor][] = [];
  for (const { name, datatype, shape: dims } of infos) {
    if (datatype === "BYTES") return null;
    const shape = dims.map((dim, axis) => dim ?? (axis === 0 ? samples : (keys ?? fallbackLength)));
    const data: TypedArray = new datatypes[datatype](elementCount(shape));
    let state = 1;
    for (let at = 0; at < data.length; at += 1) {
      state = (state * 48_271) % 2_147_483_647;
      if (data instanceof Float32Array || data instanceof Float64Array) data[at] = state / 2_147_483_647;
      else if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[at] = 1n;
      // Half-precision patterns of numbers from 0.5 to 1 differ in their last bits only.
      else
        data[at] =
          datatype === "FP16" ? 0x3800 + (state % 1024) : datatype === "BF16" ? 0x3f00 + (state % 128) : 1;
    }
    made.push([name, { datatype, shape, data }]);
  }
  return Object.fromEntries(made);
}
