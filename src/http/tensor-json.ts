/** OIP tensors in JSON ↔ {@link Tensor}. Row-major; data nested or flat on the way in, flat on the way out. */
import { AtPatchError } from "../shared/errors.ts";
import { describeJson, jsonElements, type JsonElement } from "../shared/json-element.ts";
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
  if (!Object.hasOwn(jsonElements, datatype)) {
    const known = Object.keys(jsonElements).filter((name) => name !== "FP16" && name !== "BF16");
    throw bad(`${field}.datatype: "${datatype.slice(0, 20)}" is not one of ${known.join(", ")}`);
  }
  const known = datatype as NumericDatatype;
  const count = elementCount(shape);
  if (!(count <= mostElements)) throw bad(`${field}.shape: [${shape.join(", ")}] is too large`);
  const nested = shape.length > 1 && data.some(Array.isArray);
  if (!nested && data.length !== count) {
    throw bad(`${field}.data: shape [${shape.join(", ")}] needs ${count} values, got ${data.length}`);
  }
  if (nested) checkNesting(`${field}.data`, data, shape, 0);
  const values = new datatypes[known](count) as TypedArray;
  fill(`${field}.data`, values, data, nested ? shape.length : 1, jsonElements[known]);
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
  { read, expected }: JsonElement,
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
        throw bad(`${path}${place}: expected ${expected}, got ${describeJson(member)}`);
      }
      values[next] = value;
      next += 1;
    }
  };
  visit(data, []);
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
