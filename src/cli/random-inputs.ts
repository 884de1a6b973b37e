/** Inputs made up for a model that comes with none: seeded, and sensible for what the name of an input says. */
import { AtPatchError } from "../shared/errors.ts";
import { toBfloat16, toHalf } from "../shared/float-bits.ts";
import {
  datatypes,
  elementCount,
  type NumericDatatype,
  type Tensor,
  type TensorInfo,
} from "../shared/tensor.ts";
import { Random } from "../training/random.ts";

export interface RandomInputOptions {
  readonly batch: number;
  readonly seed: number;
  /** Height and width of pictures where the graph leaves them open. */
  readonly imageSize: readonly [height: number, width: number] | null;
}

/** Length of open dimensions that are no picture's, and the number of token ids that any vocabulary has. */
const openLength = 16;
const smallVocabulary = 24;

/** @throws AtPatchError ATPATCH_UNPROCESSABLE for text inputs */
export function randomInputs(
  inputs: readonly TensorInfo[],
  options: RandomInputOptions,
): Record<string, Tensor> {
  return Object.fromEntries(inputs.map((input) => [input.name, randomInput(input, options)]));
}

function randomInput(input: TensorInfo, options: RandomInputOptions): Tensor {
  const { name, datatype } = input;
  if (datatype === "BYTES") {
    throw new AtPatchError("ATPATCH_UNPROCESSABLE", `input "${name}" takes text: give inputs with --inputs`);
  }
  const shape = input.shape.map(
    (dim, axis) => dim ?? (axis === 0 ? options.batch : openDimension(input, axis, options)),
  );
  const random = new Random(options.seed, `input/${name}`);
  const length = shape.at(-1) ?? 1;
  const numbers = Float64Array.from({ length: elementCount(shape) }, (_, i) =>
    randomValue(input, i, length, random),
  );
  return { datatype, shape, data: asDatatype(numbers, datatype) };
}

function openDimension({ shape }: TensorInfo, axis: number, { imageSize }: RandomInputOptions): number {
  if (shape.length !== 4) return openLength;
  const channelsFirst = shape[3] !== 1 && shape[3] !== 3;
  const spatial = channelsFirst ? axis - 2 : axis - 1;
  if (spatial !== 0 && spatial !== 1) return 3;
  return (imageSize ?? [224, 224])[spatial];
}

function randomValue({ name, datatype }: TensorInfo, index: number, length: number, random: Random): number {
  const isFloat = datatype.startsWith("FP") || datatype === "BF16";
  const column = index % length;
  if (/mask/i.test(name)) {
    // Every other row is padded in its last quarter, so that masks are exercised.
    const row = Math.floor(index / length);
    return row % 2 === 1 && column >= Math.ceil(0.75 * length) ? 0 : 1;
  }
  if (isFloat) return random.uniform() * 2 - 1;
  if (/type|segment/i.test(name)) return 0;
  if (/position/i.test(name)) return column;
  return datatype === "BOOL" ? random.below(2) : random.below(smallVocabulary);
}

function asDatatype(numbers: Float64Array, datatype: NumericDatatype): Tensor["data"] {
  if (datatype === "INT64" || datatype === "UINT64")
    return datatypes[datatype].from(Array.from(numbers, BigInt));
  if (datatype === "FP16") return Uint16Array.from(numbers, toHalf);
  if (datatype === "BF16") return Uint16Array.from(numbers, toBfloat16);
  return (datatypes[datatype] as typeof Float32Array | typeof Uint8Array).from(numbers);
}
