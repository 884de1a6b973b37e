/** How one value of a JSON document becomes one element of a tensor. */
import { toBfloat16, toHalf } from "./float-bits.ts";
import type { NumericDatatype } from "./tensor.ts";

export interface JsonElement {
  /** The element, or undefined when the value is none. */
  readonly read: (value: unknown) => number | bigint | undefined;
  /** What is expected, in words. */
  readonly expected: string;
}

function integer(least: number, most: number): JsonElement {
  return {
    read: (value) =>
      Number.isInteger(value) && (value as number) >= least && (value as number) <= most
        ? (value as number)
        : undefined,
    expected: `a whole number from ${least} to ${most}`,
  };
}

/** A 64-bit integer; beyond 2^53 only as a bigint, since a number has been rounded there. */
function bigInteger(least: bigint, most: bigint): JsonElement {
  return {
    read: (value) => {
      const whole =
        typeof value === "bigint" ? value : Number.isSafeInteger(value) && BigInt(value as number);
      return typeof whole === "bigint" && whole >= least && whole <= most ? whole : undefined;
    },
    expected: `a whole number from ${least} to ${most} (beyond 2^53 in tensors of /v2 only)`,
  };
}

function float(
  name: string,
  most: number,
  convert: (value: number) => number = (value) => value,
): JsonElement {
  return {
    read: (value) => (typeof value === "number" && Math.abs(value) < most ? convert(value) : undefined),
    expected: `a finite number that fits ${name}`,
  };
}

/** By datatype. FP16 and BF16 are read as numbers and become bit patterns. */
export const jsonElements: Readonly<Record<NumericDatatype, JsonElement>> = {
  BOOL: {
    read: (value) => (value === true || value === 1 ? 1 : value === false || value === 0 ? 0 : undefined),
    expected: "true or false",
  },
  UINT8: integer(0, 255),
  UINT16: integer(0, 65_535),
  UINT32: integer(0, 2 ** 32 - 1),
  UINT64: bigInteger(0n, 2n ** 64n - 1n),
  INT8: integer(-128, 127),
  INT16: integer(-32_768, 32_767),
  INT32: integer(-(2 ** 31), 2 ** 31 - 1),
  INT64: bigInteger(-(2n ** 63n), 2n ** 63n - 1n),
  FP16: float("FP16", 65_520, toHalf),
  // The bounds lie half a step above the largest number: what is below them still rounds to it.
  BF16: float("BF16", 2 ** 128 * (1 - 2 ** -9), toBfloat16),
  FP32: float("FP32", 2 ** 128 * (1 - 2 ** -25)),
  FP64: {
    read: (value) => (typeof value === "number" && Number.isFinite(value) ? value : undefined),
    expected: "a finite number",
  },
};

/** What was found instead, without repeating the value itself unless it is a number. */
export function describeJson(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null (JSON has no NaN)";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
