/** Table classifiers: rows as lists or objects in, predictions out, key columns as features. */
import { AtPatchError } from "../shared/errors.ts";
import { describeJson, jsonElements } from "../shared/json-element.ts";
import { datatypes, type Tensor, type TensorInfo, type TypedArray } from "../shared/tensor.ts";
import type { CategoryColumn, Column } from "./atpatch-json.ts";
import { batchedInput, checkInstances, fixedBatch, type BatchedInput } from "./batch.ts";
import type { ClassScores } from "./class-scores.ts";
import { isJsonObject } from "./folder-files.ts";
import type { Prepared, Task } from "./task.ts";

export interface TabularTaskOptions {
  readonly inputs: readonly TensorInfo[];
  readonly columns: readonly Column[];
  readonly scores: ClassScores;
  readonly firstKey: number;
  readonly instanceLimit?: number | undefined;
}

/** Which columns an input holds, and whether as [batch, columns] or, one column alone, as [batch]. */
interface ColumnInput extends BatchedInput {
  readonly columns: readonly number[];
}

/** Categories that an error lists before it stops. */
const listed = 12;

/**
 * A task whose instances are rows of a table. The model takes one input with every column in order; or two, of which
 * the integer one holds the categories and the other the numbers; or one input for each column, by name.
 * @throws AtPatchError ATPATCH_BAD_MODEL when the columns do not fit the inputs
 */
export function createTabularTask({
  inputs,
  columns,
  scores,
  firstKey,
  instanceLimit,
}: TabularTaskOptions): Task {
  const assigned = assignColumns(inputs.map(batchedInput), columns);
  const names = columns.map((column) => column.name);
  const prepare = async (instances: readonly unknown[]): Promise<Prepared> => {
    checkInstances(instances, assigned, instanceLimit);
    const rows = instances.map((instance, i) => readRow(`instances[${i}]`, instance, columns));
    return {
      batch: rows.length,
      inputs: Object.fromEntries(assigned.map((input) => [input.name, gather(input, rows, columns)])),
      locate: (_sample, column) => {
        const feature = names[column - firstKey];
        return feature === undefined ? null : { feature };
      },
    };
  };
  return {
    kind: "tabular-classification",
    labels: scores.labels,
    batch: fixedBatch(assigned),
    layout: {
      kind: "features",
      firstKey,
      names,
      protected: columns.flatMap((column, i) => (column.protected ? [firstKey + i] : [])),
    },
    prepare,
    predict: scores.predict,
    logits: scores.logits,
  };
}

function assignColumns(inputs: readonly BatchedInput[], columns: readonly Column[]): ColumnInput[] {
  const all = columns.map((_, index) => index);
  const ofKind = (kind: Column["kind"]): number[] => all.filter((index) => columns[index]!.kind === kind);
  const holds = (input: BatchedInput, indices: readonly number[]): boolean => {
    const [width, ...more] = input.sampleShape;
    return (
      more.length === 0 &&
      (width ?? indices.length) === indices.length &&
      (width !== undefined || indices.length === 1)
    );
  };
  const assign = (to: readonly (readonly number[])[]): ColumnInput[] | null =>
    to.length === inputs.length && inputs.every((input, i) => holds(input, to[i]!))
      ? inputs.map((input, i) => ({ ...input, columns: to[i]! }))
      : null;

  const isInteger = (input: BatchedInput | undefined): boolean => /^U?INT/.test(input?.datatype ?? "");
  const byKind =
    isInteger(inputs[0]) !== isInteger(inputs[1])
      ? inputs.map((input) => ofKind(isInteger(input) ? "category" : "number"))
      : [];
  const byName = inputs.map((input) => all.filter((index) => columns[index]!.name === input.name));
  const found =
    assign([all]) ?? (byName.flat().length === columns.length ? assign(byName) : null) ?? assign(byKind);
  if (found) return found;
  throw new AtPatchError(
    "ATPATCH_BAD_MODEL",
    `atpatch.json: columns: ${columns.length} columns (${ofKind("category").length} categories) do not fit the model's inputs ` +
      inputs
        .map(
          ({ name, datatype, sampleShape }) =>
            `${name} ${datatype} [batch, ${sampleShape.map((dim) => dim ?? "any").join(", ")}]`,
        )
        .join(", "),
  );
}

/** Values of one row in column order; categories as indices. */
function readRow(at: string, instance: unknown, columns: readonly Column[]): number[] {
  if (Array.isArray(instance)) {
    if (instance.length !== columns.length) {
      throw bad(at, `expected ${columns.length} values (${namesOf(columns)}), got ${instance.length}`);
    }
    return columns.map((column, i) => readValue(`${at}[${i}] (${column.name})`, instance[i], column));
  }
  if (!isJsonObject(instance))
    throw bad(at, `expected a list or an object of ${columns.length} values, got ${describeJson(instance)}`);
  const unknown = Object.keys(instance).find((key) => !columns.some((column) => column.name === key));
  if (unknown !== undefined)
    throw bad(at, `"${unknown.slice(0, 40)}" is no column (columns: ${namesOf(columns)})`);
  return columns.map((column) =>
    readValue(
      `${at}.${column.name}`,
      Object.hasOwn(instance, column.name) ? instance[column.name] : undefined,
      column,
    ),
  );
}

function readValue(at: string, value: unknown, column: Column): number {
  if (value === undefined || value === null || value === "") throw bad(at, "the value is missing");
  if (column.kind === "category") return readCategory(at, value, column);
  if (typeof value !== "number" || !Number.isFinite(value))
    throw bad(at, `expected a number, got ${describeJson(value)}`);
  return value;
}

function readCategory(at: string, value: unknown, { categories }: CategoryColumn): number {
  if (typeof value === "number") {
    if (Number.isInteger(value) && value >= 0 && value < categories.length) return value;
    throw bad(at, `expected an index from 0 to ${categories.length - 1}, got ${value}`);
  }
  if (typeof value !== "string")
    throw bad(at, `expected a category by name or index, got ${describeJson(value)}`);
  const index = categories.indexOf(value);
  if (index >= 0) return index;
  const some = categories.slice(0, listed).join(", ") + (categories.length > listed ? ", …" : "");
  throw bad(
    at,
    `${JSON.stringify(value.slice(0, 40))} is none of the ${categories.length} categories (${some})`,
  );
}

function gather(input: ColumnInput, rows: readonly number[][], columns: readonly Column[]): Tensor {
  const { datatype } = input;
  const { read, expected } = jsonElements[datatype];
  const data = new datatypes[datatype](rows.length * input.columns.length) as TypedArray;
  rows.forEach((row, r) => {
    input.columns.forEach((column, c) => {
      const element = read(row[column]);
      if (element === undefined) {
        throw new AtPatchError(
          "ATPATCH_UNPROCESSABLE",
          `instances[${r}]: ${columns[column]!.name}: the model takes ${expected}, got ${row[column]}`,
        );
      }
      data[r * input.columns.length + c] = element;
    });
  });
  return {
    datatype,
    shape: [rows.length, ...(input.sampleShape.length === 0 ? [] : [input.columns.length])],
    data,
  };
}

function namesOf(columns: readonly Column[]): string {
  return columns.map((column) => column.name).join(", ");
}

function bad(at: string, what: string): AtPatchError {
  return new AtPatchError("ATPATCH_BAD_INPUT", `${at}: ${what}`);
}
