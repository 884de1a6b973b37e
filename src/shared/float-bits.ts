/** Half precision and bfloat16 as bit patterns, which is how tensors of those datatypes hold them. */
import { AtPatchError } from "./errors.ts";
import type { Tensor } from "./tensor.ts";

const scratch = new DataView(new ArrayBuffer(8));

/** Nearest half-precision number (ties to even); what is too large becomes infinity. */
export function toHalf(value: number): number {
  scratch.setFloat64(0, value);
  const sign = (scratch.getUint8(0) & 0x80) << 8;
  const size = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  // Below 2⁻¹⁴ numbers are multiples of 2⁻²⁴; above, the step is 2¹⁰ finer than the power of two below the number.
  const exponent = size < 2 ** -14 ? -14 : Math.floor(Math.log2(size));
  const steps = roundToEven(size * 2 ** (10 - exponent));
  return sign | (size < 2 ** -14 ? steps : ((exponent + 15) << 10) + (steps - 1024));
}

export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** Nearest bfloat16 of the value's float32 (ties to even). */
export function toBfloat16(value: number): number {
  scratch.setFloat32(0, value);
  const bits = scratch.getUint32(0);
  if (Number.isNaN(value)) return 0x7fc0;
  return (bits + 0x7fff + ((bits >> 16) & 1)) >>> 16;
}

export function fromBfloat16(bits: number): number {
  scratch.setUint32(0, bits << 16);
  return scratch.getFloat32(0);
}

/**
 * The values of a floating-point tensor as float32.
 * @throws AtPatchError ATPATCH_UNPROCESSABLE for other datatypes
 */
export function floatValues(tensor: Tensor): Float32Array {
  const { data } = tensor;
  switch (tensor.datatype) {
    case "FP32":
      return data as Float32Array;
    case "FP64":
      return Float32Array.from(data as Float64Array);
    case "FP16":
      return Float32Array.from(data as Uint16Array, fromHalf);
    case "BF16":
      return Float32Array.from(data as Uint16Array, fromBfloat16);
    default:
      throw new AtPatchError(
        "ATPATCH_UNPROCESSABLE",
        `a ${tensor.datatype} tensor holds no floating-point values`,
      );
  }
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
