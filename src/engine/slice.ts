/** Samples taken out of tensors and put back, along dimension 0. Pure. */
import { AtPatchError } from "../shared/errors.ts";
import type { Tensor, TypedArray } from "../shared/tensor.ts";

/** Whether dimension 0 of the tensor counts the `batch` samples. */
export function isBatchFirst({ shape }: Tensor, batch: number): boolean {
  return shape.length > 0 && shape[0] === batch;
}

/** Elements of one sample; 0 for a tensor without samples. */
function stride({ shape, data }: Tensor): number {
  const batch = shape[0] ?? 0;
  return batch === 0 ? 0 : data.length / batch;
}

/** New tensor [samples.length, …] with the named samples of a tensor [B, …], in the order named. */
export function takeSamples(from: Tensor, samples: readonly number[]): Tensor {
  const size = stride(from);
  const source: TypedArray = from.data;
  const data = new (source.constructor as new (length: number) => TypedArray)(samples.length * size);
  samples.forEach((sample, row) => {
    data.set(source.subarray(sample * size, (sample + 1) * size) as never, row * size);
  });
  return { datatype: from.datatype, shape: [samples.length, ...from.shape.slice(1)], data };
}

/**
 * Overwrites samples of `target` [B, …] in place: `samples[row]` gets row `row` of `rows` [samples.length, …].
 * @throws AtPatchError ATPATCH_INTERNAL when datatype or the size of a sample differ
 */
export function putSamples(target: Tensor, samples: readonly number[], rows: Tensor): void {
  const size = stride(target);
  if (target.datatype !== rows.datatype || rows.data.length !== samples.length * size) {
    throw new AtPatchError(
      "ATPATCH_INTERNAL",
      `samples of shape [${rows.shape.join(", ")}] do not fit into a tensor of shape [${target.shape.join(", ")}]`,
    );
  }
  samples.forEach((sample, row) => {
    target.data.set(rows.data.subarray(row * size, (row + 1) * size) as never, sample * size);
  });
}
