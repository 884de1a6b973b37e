/** Samples of a debug set as model inputs, prepared when they are asked for and kept while memory allows. */
import { AtPatchError, messageOf } from "../shared/errors.ts";
import type { Tensor } from "../shared/tensor.ts";
import type { ColumnPlace, Task } from "../tasks/task.ts";
import type { DebugSample } from "./debug-set.ts";

export interface PreparedSample {
  /** Inputs of a batch of one. */
  readonly inputs: Readonly<Record<string, Tensor>>;
  /** Equal for samples that can share a batch. */
  readonly shape: string;
  /** What the key column stands for in the sample, or null. */
  locate(column: number): ColumnPlace | null;
}

const defaultCacheBytes = 256 * 2 ** 20;

export class SampleStore {
  readonly samples: readonly DebugSample[];
  readonly #task: Task;
  readonly #cache: (PreparedSample | undefined)[] = [];
  #room: number;

  /** @param cacheBytes most bytes of inputs that are kept */
  constructor(task: Task, samples: readonly DebugSample[], cacheBytes = defaultCacheBytes) {
    this.#task = task;
    this.samples = samples;
    this.#room = cacheBytes;
  }

  /**
   * Prepared samples in the order asked for.
   * @throws AtPatchError ATPATCH_BAD_DEBUG_SET naming the sample whose instance the task refuses
   */
  async prepare(indices: readonly number[]): Promise<PreparedSample[]> {
    return Promise.all(indices.map(async (index) => this.#cache[index] ?? this.#prepareOne(index)));
  }

  async #prepareOne(index: number): Promise<PreparedSample> {
    const sample = this.samples[index];
    if (!sample) throw new AtPatchError("ATPATCH_INTERNAL", `there is no sample ${index}`);
    try {
      // Where the graph fixes its batch, the sample fills it alone; one row is kept.
      const copies = Array.from({ length: this.#task.batch ?? 1 }, () => sample.instance);
      const prepared = await this.#task.prepare(copies);
      const inputs = Object.fromEntries(
        Object.entries(prepared.inputs).map(([name, tensor]) => [name, firstRow(tensor)]),
      );
      const shape = Object.entries(inputs)
        .map(([name, tensor]) => `${name}:${tensor.shape.join("x")}`)
        .join(" ");
      const one = { inputs, shape, locate: (column: number) => prepared.locate(0, column) };
      const bytes = Object.values(inputs).reduce((sum, tensor) => sum + tensor.data.byteLength, 0);
      if (bytes <= this.#room) {
        this.#room -= bytes;
        this.#cache[index] = one;
      }
      return one;
    } catch (error) {
      if (!(error instanceof AtPatchError)) throw error;
      const reason = messageOf(error).replace(/^instances\[0\]:? ?/, "");
      throw new AtPatchError(
        "ATPATCH_BAD_DEBUG_SET",
        `debug set: sample "${sample.id}": instance: ${reason}`,
        {
          cause: error,
        },
      );
    }
  }
}

function firstRow(tensor: Tensor): Tensor {
  const [batch = 1, ...shape] = tensor.shape;
  if (batch === 1) return tensor;
  return { ...tensor, shape: [1, ...shape], data: tensor.data.slice(0, tensor.data.length / batch) };
}

/**
 * The inputs of several samples of one shape as one batch.
 * @param rows of the batch; the last sample fills up what is missing
 */
export function stackInputs(
  samples: readonly PreparedSample[],
  rows = samples.length,
): Record<string, Tensor> {
  const first = samples[0];
  if (!first) throw new AtPatchError("ATPATCH_INTERNAL", "a batch needs a sample");
  return Object.fromEntries(
    Object.entries(first.inputs).map(([name, { datatype, shape, data }]) => {
      const stacked = new (data.constructor as new (length: number) => typeof data)(rows * data.length);
      for (let row = 0; row < rows; row++) {
        const sample = samples[Math.min(row, samples.length - 1)] as PreparedSample;
        stacked.set(sample.inputs[name]?.data as never, row * data.length);
      }
      return [name, { datatype, shape: [rows, ...shape.slice(1)], data: stacked }];
    }),
  );
}
