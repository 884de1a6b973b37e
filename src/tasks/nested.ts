/** Nested numbers, as JSON carries them, turned into the elements of one sample. */
import { AtPatchError } from "../shared/errors.ts";
import { describeJson, jsonElements } from "../shared/json-element.ts";
import { datatypes, elementCount, type NumericDatatype, type TypedArray } from "../shared/tensor.ts";

/** One sample of one input. */
export interface SampleValues {
  readonly shape: readonly number[];
  readonly data: TypedArray;
}

/** `[3, 32, any]` */
export function shapeText(shape: readonly (number | null)[]): string {
  return `[${shape.map((dim) => dim ?? "any").join(", ")}]`;
}

/**
 * Reads nested lists of numbers, row-major; a plain number where `shape` is [].
 * @param at name of the value in errors, e.g. `instances[3]`
 * @param shape expected shape of the sample, without batch dimension; null marks a length that varies
 * @throws AtPatchError ATPATCH_BAD_INPUT for ragged lists and values that are none of the datatype,
 *   ATPATCH_UNPROCESSABLE for another shape than the model's
 */
export function readNested(
  at: string,
  value: unknown,
  datatype: NumericDatatype,
  shape: readonly (number | null)[],
): SampleValues {
  const found = shapeOf(value);
  const fits =
    found.length === shape.length && shape.every((dim, axis) => dim === null || dim === found[axis]);
  if (!fits) {
    // Lists of differing lengths can look like a wrong shape; being ragged is the nearer cause.
    checkLengths(at, value, found, 0);
    throw new AtPatchError(
      "ATPATCH_UNPROCESSABLE",
      `${at}: has shape ${shapeText(found)}, the model takes ${shapeText(shape)}`,
    );
  }
  checkLengths(at, value, found, 0);
  const data = new datatypes[datatype](elementCount(found));
  fill(at, data, value, found.length, datatype);
  return { shape: found, data };
}

/** Lengths along the first elements. */
function shapeOf(value: unknown): number[] {
  const shape: number[] = [];
  for (let inner = value; Array.isArray(inner); inner = (inner as unknown[])[0]) shape.push(inner.length);
  return shape;
}

function checkLengths(at: string, value: unknown, shape: readonly number[], axis: number): void {
  const length = shape[axis];
  if (length === undefined) return;
  if (!Array.isArray(value) || value.length !== length) {
    const got = Array.isArray(value) ? `a list of ${value.length}` : describeJson(value);
    throw new AtPatchError(
      "ATPATCH_BAD_INPUT",
      `${at}: ragged lists: expected a list of ${length} as before, got ${got}`,
    );
  }
  if (axis + 1 === shape.length) return;
  for (let i = 0; i < length; i++) checkLengths(`${at}[${i}]`, (value as unknown[])[i], shape, axis + 1);
}

function fill(at: string, data: TypedArray, value: unknown, depth: number, datatype: NumericDatatype): void {
  const { read, expected } = jsonElements[datatype];
  let next = 0;
  const visit = (member: unknown, level: number, place: () => string): void => {
    if (level < depth) {
      const list = member as readonly unknown[];
      for (let i = 0; i < list.length; i++) visit(list[i], level + 1, () => `${place()}[${i}]`);
      return;
    }
    const element = read(member);
    if (element === undefined) {
      throw new AtPatchError(
        "ATPATCH_BAD_INPUT",
        `${place()}: expected ${expected}, got ${describeJson(member)}`,
      );
    }
    data[next++] = element;
  };
  visit(value, 0, () => at);
}
