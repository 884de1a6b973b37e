/** Differences between tensors. */
import { elementCount, type Tensor } from "../shared/tensor.ts";
import { halfToNumber, brainToNumber } from "../onnx/tensor-data.ts";

export interface Difference {
  /** Largest absolute difference. */
  readonly absolute: number;
  /** Largest of the smaller of absolute and relative difference: what a tolerance is held against. */
  readonly either: number;
}

/** Numbers of a tensor, whatever its datatype. */
export function numbers({ datatype, data }: Tensor): Float64Array {
  const plain = Float64Array.from(data as ArrayLike<number | bigint>, Number);
  if (datatype === "FP16") return plain.map(halfToNumber);
  return datatype === "BF16" ? plain.map(brainToNumber) : plain;
}

/** Compares element by element; shapes that differ, or a NaN on one side alone, are infinitely far apart. */
export function difference(a: Tensor, b: Tensor): Difference {
  if (a.shape.join() !== b.shape.join()) return { absolute: Infinity, either: Infinity };
  const [left, right] = [numbers(a), numbers(b)];
  let [absolute, either] = [0, 0];
  for (let i = 0; i < left.length; i++) {
    const [x, y] = [left[i] as number, right[i] as number];
    if (Object.is(x, y) || x === y) continue;
    const gap = Number.isNaN(x) !== Number.isNaN(y) ? Infinity : Math.abs(x - y);
    absolute = Math.max(absolute, gap);
    either = Math.max(either, Math.min(gap, gap / Math.max(Math.abs(y), Number.MIN_VALUE)));
  }
  return { absolute, either };
}

/** Whether sample `index` of a batch-first tensor has the same bits in both. */
export function sameSample(a: Tensor, b: Tensor, index: number, batch: number): boolean {
  const size = elementCount(a.shape) / batch;
  const bytes = ({ data }: Tensor): Uint8Array =>
    new Uint8Array(
      data.buffer,
      data.byteOffset + index * size * data.BYTES_PER_ELEMENT,
      size * data.BYTES_PER_ELEMENT,
    );
  return Buffer.compare(bytes(a), bytes(b)) === 0;
}

/** Largest difference between the row sums of two maps [B,H,Tq,Tk] of one shape. */
export function rowSumError(patched: Tensor, map: Tensor): number {
  const keys = map.shape.at(-1) ?? 1;
  const [after, before] = [numbers(patched), numbers(map)];
  const sum = (values: Float64Array, row: number): number =>
    values.subarray(row * keys, (row + 1) * keys).reduce((total, value) => total + value, 0);
  let worst = 0;
  for (let row = 0; row < before.length / keys; row++) {
    worst = Math.max(worst, Math.abs(sum(after, row) - sum(before, row)));
  }
  return worst;
}
