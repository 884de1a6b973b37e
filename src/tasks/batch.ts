/** What every task does with a list of instances: checks it and stacks the samples. */
import { AtPatchError } from "../shared/errors.ts";
import {
  datatypes,
  elementCount,
  type NumericDatatype,
  type Tensor,
  type TensorInfo,
} from "../shared/tensor.ts";
import { shapeText, type SampleValues } from "./nested.ts";

/** Instances in one request unless the model's folder says otherwise. */
export const defaultInstanceLimit = 512;

/** An input of the model that carries one sample a row. */
export interface BatchedInput {
  readonly name: string;
  readonly datatype: NumericDatatype;
  /** Shape of one sample: without the batch dimension. */
  readonly sampleShape: readonly (number | null)[];
  /** Samples the model takes at once when its graph fixes them. */
  readonly batch: number | null;
}

/**
 * An input without its batch dimension.
 * @throws AtPatchError ATPATCH_UNPROCESSABLE for inputs that instances cannot fill: text, or no batch dimension
 */
export function batchedInput(input: TensorInfo): BatchedInput {
  const [batch, ...sampleShape] = input.shape;
  if (batch === undefined || input.datatype === "BYTES") {
    const why = batch === undefined ? "has no batch dimension" : "takes text";
    throw new AtPatchError("ATPATCH_UNPROCESSABLE", `instances: the model's input "${input.name}" ${why}`);
  }
  return { name: input.name, datatype: input.datatype, sampleShape, batch };
}

/** Samples the model takes at once when its graph fixes them, or null. */
export function fixedBatch(inputs: readonly BatchedInput[]): number | null {
  return inputs.find(({ batch }) => batch !== null)?.batch ?? null;
}

/** @throws AtPatchError ATPATCH_BAD_INPUT for none, ATPATCH_UNPROCESSABLE for more than the model or its folder allows */
export function checkInstances(
  instances: readonly unknown[],
  inputs: readonly BatchedInput[],
  limit = defaultInstanceLimit,
): void {
  if (instances.length === 0) {
    throw new AtPatchError("ATPATCH_BAD_INPUT", "instances: expected at least one instance");
  }
  const fixed = inputs.find((input) => input.batch !== null && input.batch !== instances.length);
  if (fixed) {
    throw new AtPatchError(
      "ATPATCH_UNPROCESSABLE",
      `instances: the model takes exactly ${fixed.batch} at once, got ${instances.length}`,
    );
  }
  if (instances.length > limit) {
    throw new AtPatchError(
      "ATPATCH_UNPROCESSABLE",
      `instances: at most ${limit} at once, got ${instances.length}`,
    );
  }
}

/**
 * Samples of one input on top of each other.
 * @throws AtPatchError ATPATCH_UNPROCESSABLE naming the first sample that has another shape than the first
 */
export function stack(datatype: NumericDatatype, samples: readonly SampleValues[]): Tensor {
  const shape = samples[0]?.shape ?? [];
  const size = elementCount(shape);
  const data = new datatypes[datatype](samples.length * size);
  samples.forEach((sample, i) => {
    if (sample.shape.some((dim, axis) => dim !== shape[axis])) {
      throw new AtPatchError(
        "ATPATCH_UNPROCESSABLE",
        `instances[${i}]: has shape ${shapeText(sample.shape)}, instances[0] has ${shapeText(shape)}: samples of one request need one shape`,
      );
    }
    // Both are arrays of `datatype`; the compiler cannot know.
    (data as { set(values: ArrayLike<number | bigint>, offset: number): void }).set(sample.data, i * size);
  });
  return { datatype, shape: [samples.length, ...shape], data };
}
