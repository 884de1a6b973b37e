/** OIP tensors in JSON ↔ {@link Tensor}. Row-major; data nested or flat on the way in, flat on the way out. */
import { AtPatchError } from "../shared/errors.ts";
import {
  datatypes,
  elementCount,
  type NumericDatatype,
  type Tensor,
  type TypedArray,
} from "../shared/tensor.ts";

/** A tensor as a request carries it; the route's schema has checked the outer types. */
export interface TensorJson {
  readonly name: string;
  readonly shape: readonly number[];
  readonly datatype: string;
  readonly data: readonly unknown[];
}

/** A tensor as an answer carries it. */
export interface EncodedTensor {
  readonly name: string;
  readonly shape: number[];
  readonly datatype: string;
  readonly data: (number | boolean)[];
}

/** Most elements a shape may announce; larger tensors could not have come in a body anyway. */
const mostElements = 2 ** 31 - 1;

type Read = (value: unknown) => number | bigint | undefined;

function integerBetween(least: number, most: number): Read {
  return (value) =>
    typeof value === "number" && Number.isInteger(value) && value >= least && value <= most
      ? value
      : undefined;
}

function bigIntegerFrom(least: number): Read {
  return (value) =>
    typeof value === "number" && Number.isSafeInteger(value) && value >= least ? BigInt(value) : undefined;
}

/** How one element is read, and in words what is expected; FP16 and BF16 have no JSON form. */
const elements: Readonly<
  Record<Exclude<NumericDatatype, "FP16" | "BF16">, { read: Read; expected: string }>
> = {
  BOOL: {
    read: (value) => (value === true || value === 1 ? 1 : value === false || value === 0 ? 0 : undefined),
    expected: "true or false",
  },
  UINT8: { read: integerBetween(0, 255), expected: "a whole number from 0 to 255" },
  UINT16: { read: integerBetween(0, 65535), expected: "a whole number from 0 to 65535" },
  UINT32: { read: integerBetween(0, 2 ** 32 - 1), expected: "a whole number from 0 to 4294967295" },
  UINT64: {
    read: bigIntegerFrom(0),
    expected: "a whole number from 0 to 9007199254740991, the largest that JSON keeps exactly",
  },
  INT8: { read: integerBetween(-128, 127), expected: "a whole number from -128 to 127" },
  INT16: { read: integerBetween(-32768, 32767), expected: "a whole number from -32768 to 32767" },
  INT32: {
    read: integerBetween(-(2 ** 31), 2 ** 31 - 1),
    expected: "a whole number from -2147483648 to 2147483647",
  },
  INT64: {
    read: bigIntegerFrom(-Number.MAX_SAFE_INTEGER),
    expected: "a whole number within ±9007199254740991, the largest that JSON keeps exactly",
  },
  FP32: {
    read: (value) => (typeof value === "number" && Number.isFinite(Math.fround(value)) ? value : undefined),
    expected: "a finite number that fits FP32",
  },
  FP64: {
    read: (value) => (typeof value === "number" && Number.isFinite(value) ? value : undefined),
    expected: "a finite number",
  },
};

function bad(message: string): AtPatchError {
  return new AtPatchError("ATPATCH_BAD_INPUT", message);
}

/**
 * Reads one tensor.
 * @param field what to call it in errors, e.g. `inputs[0]`
 * @throws AtPatchError ATPATCH_BAD_INPUT naming the field and position, ATPATCH_UNPROCESSABLE for a datatype that JSON cannot carry
 */
export function decodeTensor(field: string, json: TensorJson): Tensor {
  const { datatype, shape, data } = json;
  if (datatype === "FP16" || datatype === "BF16" || datatype === "BYTES") {
    const why =
      datatype === "BYTES" ? "no input of a patched model takes BYTES" : `${datatype} has no JSON form`;
    throw new AtPatchError("ATPATCH_UNPROCESSABLE", `${field}.datatype: ${why}`);
  }
  if (!Object.hasOwn(elements, datatype)) {
    throw bad(
      `${field}.datatype: "${datatype.slice(0, 20)}" is not one of ${Object.keys(elements).join(", ")}`,
    );
  }
  const known = datatype as keyof typeof elements;
  const count = elementCount(shape);
  if (!(count <= mostElements)) throw bad(`${field}.shape: [${shape.join(", ")}] is too large`);
  const nested = shape.length > 1 && data.some(Array.isArray);
  if (!nested && data.length !== count) {
    throw bad(`${field}.data: shape [${shape.join(", ")}] needs ${count} values, got ${data.length}`);
  }
  if (nested) checkNesting(`${field}.data`, data, shape, 0);
  const values = new datatypes[known](count) as TypedArray;
  fill(`${field}.data`, values, data, nested ? shape.length : 1, elements[known]);
  return { datatype: known, shape, data: values };
}

/** Checks that every list has as many members as the shape says, so that `values` can be allocated and filled blindly. */
function checkNesting(path: string, value: unknown, shape: readonly number[], depth: number): void {
  if (depth === shape.length) return;
  if (!Array.isArray(value)) throw bad(`${path}: expected a list, the shape has ${shape.length} dimensions`);
  if (value.length !== shape[depth]) {
    throw bad(`${path}: dimension ${depth} of the shape is ${shape[depth]}, got ${value.length} values`);
  }
  if (depth + 1 === shape.length) return;
  for (const [index, member] of value.entries()) checkNesting(`${path}[${index}]`, member, shape, depth + 1);
}

function fill(
  path: string,
  values: TypedArray,
  data: readonly unknown[],
  depth: number,
  { read, expected }: { read: Read; expected: string },
): void {
  let next = 0;
  const visit = (list: readonly unknown[], where: readonly number[]): void => {
    for (let index = 0; index < list.length; index += 1) {
      const member = list[index];
      if (Array.isArray(member) && where.length + 1 < depth) {
        visit(member, [...where, index]);
        continue;
      }
      const value = read(member);
      if (value === undefined) {
        const place = [...where, index].map((step) => `[${step}]`).join("");
        throw bad(`${path}${place}: expected ${expected}, got ${describe(member)}`);
      }
      values[next] = value;
      next += 1;
    }
  };
  visit(data, []);
}

function describe(value: unknown): string {
  if (value === null) return "null (JSON has no NaN)";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "number") return String(value);
  return `a ${typeof value}`;
}

/**
 * Writes one tensor, flat.
 * @throws AtPatchError ATPATCH_UNPROCESSABLE when JSON cannot carry the datatype or a value (NaN, infinity, 64-bit beyond 2^53)
 */
export function encodeTensor(name: string, tensor: Tensor): EncodedTensor {
  const { datatype } = tensor;
  const refuse = (why: string): never => {
    throw new AtPatchError("ATPATCH_UNPROCESSABLE", `output "${name}" ${why}`);
  };
  if (datatype === "FP16" || datatype === "BF16") return refuse(`is ${datatype}, which has no JSON form`);
  const data = Array.from(tensor.data as Iterable<number | bigint>, (element, index): number | boolean => {
    const value = Number(element);
    const exact =
      datatype === "INT64" || datatype === "UINT64" ? Number.isSafeInteger(value) : Number.isFinite(value);
    if (!exact) refuse(`holds ${element} at position ${index}, which JSON cannot carry`);
    return datatype === "BOOL" ? value !== 0 : value;
  });
  return { name, shape: [...tensor.shape], datatype, data };
}
