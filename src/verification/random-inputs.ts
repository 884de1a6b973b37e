/** Seeded inputs for models of which nothing is known but their input infos. */
import { AtPatchError } from "../shared/errors.ts";
import { datatypes, elementCount, type Tensor, type TensorInfo } from "../shared/tensor.ts";

export interface InputSizes {
  readonly batch: number;
  /** Length given to every dimension that varies, except the first. */
  readonly length: number;
  /** Integer inputs that are no masks take values below this. */
  readonly vocabulary: number;
  readonly seed: number;
}

/**
 * One tensor per input: normal numbers, token ids, masks of ones, zeros for segment ids.
 * @throws AtPatchError ATPATCH_BAD_INPUT for inputs that cannot be made up
 */
export function randomInputs(infos: readonly TensorInfo[], sizes: InputSizes): Record<string, Tensor> {
  const random = generator(sizes.seed);
  return Object.fromEntries(infos.map((info) => [info.name, randomInput(info, sizes, random)]));
}

function randomInput(info: TensorInfo, sizes: InputSizes, random: () => number): Tensor {
  const { name, datatype } = info;
  if (datatype === "BYTES") {
    throw new AtPatchError("ATPATCH_BAD_INPUT", `input "${name}" takes strings: give inputs with --inputs`);
  }
  const shape = info.shape.map((dim, axis) => dim ?? (axis === 0 ? sizes.batch : sizes.length));
  const make = (value: () => number): Tensor => {
    const wide = datatype === "INT64" || datatype === "UINT64";
    const values = Array.from({ length: elementCount(shape) }, value);
    const data = wide
      ? new datatypes[datatype](values.map((x) => BigInt(Math.trunc(x))))
      : new datatypes[datatype as "FP32"](values);
    return { datatype, shape, data };
  };
  if (/mask/i.test(name) || datatype === "BOOL") return make(() => (datatype === "FP16" ? halfOne : 1));
  if (/token_type|segment/i.test(name)) return make(() => 0);
  if (datatype === "FP16" || datatype === "BF16") {
    // Bit patterns of numbers between 0.5 and 2: exponents near the bias, any fraction.
    const exponent = datatype === "FP16" ? halfOne : 0x3f80;
    return make(() => exponent + Math.floor((random() - 0.5) * (datatype === "FP16" ? 1024 : 128)));
  }
  if (datatype === "FP32" || datatype === "FP64") {
    return make(() => Math.sqrt(-2 * Math.log(random() + 1e-12)) * Math.cos(2 * Math.PI * random()));
  }
  return make(() => Math.floor(random() * sizes.vocabulary));
}

const halfOne = 0x3c00;

/** mulberry32: small, seeded, good enough for inputs. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
