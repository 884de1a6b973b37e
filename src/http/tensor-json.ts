/** Tensors of a request in JSON. Row-major; data nested or flat. */
import { AtPatchError } from "../shared/errors.ts";
import { describeJson, jsonElements, type JsonElement } from "../shared/json-element.ts";
import { checkedCount, knownDatatype } from "../shared/raw-tensor.ts";
import { datatypes, type AnyTensor, type BytesTensor, type TypedArray } from "../shared/tensor.ts";
import { exactInteger } from "./exact-integers.ts";

/** A tensor as a request carries it; the route's schema has checked the outer types. */
export interface TensorJson {
  readonly shape: readonly number[];
  readonly datatype: string;
  readonly data: readonly unknown[];
}

function bad(message: string): AtPatchError {
  return new AtPatchError("ATPATCH_BAD_INPUT", message);
}

/**
 * Reads one tensor.
 * @param field what to call it in errors, e.g. `inputs[0]`
 * @param exactly gives `data` anew with whole numbers beyond 2^53 marked; asked only when there are such numbers
 * @throws AtPatchError ATPATCH_BAD_INPUT naming the field and position, ATPATCH_UNPROCESSABLE for a datatype that JSON cannot carry
 */
export function decodeTensor(field: string, json: TensorJson, exactly?: () => readonly unknown[]): AnyTensor {
  const { shape, data } = json;
  const datatype = knownDatatype(field, json.datatype);
  if (datatype === "FP16" || datatype === "BF16") {
    const what = `${field}.datatype: ${datatype} has no JSON form, send the tensor as binary data (parameters.binary_data_size)`;
    throw new AtPatchError("ATPATCH_UNPROCESSABLE", what);
  }
  const count = checkedCount(field, shape);
  const nested = shape.length > 1 && data.some(Array.isArray);
  if (!nested && data.length !== count) {
    throw bad(`${field}.data: shape [${shape.join(", ")}] needs ${count} values, got ${data.length}`);
  }
  if (nested) checkNesting(`${field}.data`, data, shape, 0);
  const depth = nested ? shape.length : 1;
  if (datatype === "BYTES") return readStrings(`${field}.data`, shape, data, depth);

  const values = new datatypes[datatype](count) as TypedArray;
  const element = jsonElements[datatype];
  if (datatype !== "INT64" && datatype !== "UINT64") fill(`${field}.data`, values, data, depth, element);
  else fillIntegers(`${field}.data`, values, data, depth, element, exactly);
  return { datatype, shape, data: values };
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

type Visit = (member: unknown, place: () => string) => void;

/** Visits the elements of lists that are `depth` deep. */
function visitElements(path: string, data: readonly unknown[], depth: number, visit: Visit): void {
  const descend = (list: readonly unknown[], where: readonly number[]): void => {
    for (let index = 0; index < list.length; index += 1) {
      const member = list[index];
      if (Array.isArray(member) && where.length + 1 < depth) descend(member, [...where, index]);
      else visit(member, () => path + [...where, index].map((step) => `[${step}]`).join(""));
    }
  };
  descend(data, []);
}

function fill(
  path: string,
  values: TypedArray,
  data: readonly unknown[],
  depth: number,
  { read, expected }: JsonElement,
): void {
  let next = 0;
  visitElements(path, data, depth, (member, place) => {
    const value = read(member);
    if (value === undefined) throw bad(`${place()}: expected ${expected}, got ${describeJson(member)}`);
    values[next] = value;
    next += 1;
  });
}

/** As {@link fill}; where a number was rounded by the parser, everything is read again from the text. */
function fillIntegers(
  path: string,
  values: TypedArray,
  data: readonly unknown[],
  depth: number,
  element: JsonElement,
  exactly: (() => readonly unknown[]) | undefined,
): void {
  let rounded = false;
  if (exactly !== undefined) {
    visitElements(path, data, depth, (member) => {
      rounded ||= Number.isInteger(member) && !Number.isSafeInteger(member);
    });
  }
  fill(path, values, rounded ? exactly!() : data, depth, {
    ...element,
    read: rounded ? (member) => element.read(exactInteger(member)) : element.read,
  });
}

function readStrings(
  path: string,
  shape: readonly number[],
  data: readonly unknown[],
  depth: number,
): BytesTensor {
  // Measured first, then written: an object for each of millions of texts would take more memory than the body.
  let size = 0;
  visitElements(path, data, depth, (member, place) => {
    if (typeof member !== "string") throw bad(`${place()}: expected a string, got ${describeJson(member)}`);
    size += 4 + Buffer.byteLength(member);
  });
  const bytes = Buffer.allocUnsafe(size);
  let at = 0;
  visitElements(path, data, depth, (member) => {
    const length = bytes.write(member as string, at + 4);
    at = bytes.writeUInt32LE(length, at) + length;
  });
  return { datatype: "BYTES", shape, data: bytes };
}
