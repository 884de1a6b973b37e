import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { TensorInfo } from "../shared/tensor.ts";
import type { Column } from "./atpatch-json.ts";
import { createClassScores } from "./class-scores.ts";
import { createTabularTask } from "./tabular.ts";
import type { Task } from "./task.ts";

const scores = createClassScores({ config: null, settings: {}, labels: ["bad", "good"] }, []);
const columns: Column[] = [
  { name: "age", kind: "number" },
  { name: "sex", kind: "category", categories: ["Female", "Male"] },
  { name: "hours", kind: "number" },
];
const input = (name: string, datatype: TensorInfo["datatype"], ...shape: (number | null)[]): TensorInfo => ({
  name,
  datatype,
  shape: [null, ...shape],
});
function task(inputs: readonly TensorInfo[], firstKey = 1): Task {
  return createTabularTask({ inputs, columns, scores, firstKey });
}
const one = task([input("x", "FP32", 3)]);
const faultOf = async (instance: unknown): Promise<string> => {
  try {
    await one.prepare([[1, 0, 2], instance]);
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return `${code} ${message}`;
  }
  return "none";
};

describe("createTabularTask", () => {
  it("takes lists and objects, categories by name and by index", async () => {
    const { batch, inputs } = await one.prepare([[39, "Male", 40.5], { hours: 8, sex: 0, age: -1 }]);
    expect(batch).toBe(2);
    expect(inputs).toEqual({
      x: { datatype: "FP32", shape: [2, 3], data: Float32Array.of(39, 1, 40.5, -1, 0, 8) },
    });
  });

  it("makes the same of a list and of an object with its values", async () => {
    const anyAge = fc.double({ noNaN: true, min: -1e30, max: 1e30 });
    await fc.assert(
      fc.asyncProperty(anyAge, fc.constantFrom("Female", "Male"), async (age, sex) => {
        const list = await one.prepare([[age, sex, 1]]);
        const object = await one.prepare([{ sex, age, hours: 1 }]);
        expect(list.inputs).toEqual(object.inputs);
      }),
    );
  });

  it("splits columns over the inputs by kind or by name", async () => {
    const byKind = await task([input("cat", "INT64", 1), input("num", "FP32", 2)]).prepare([
      [39, "Male", 40],
    ]);
    expect(byKind.inputs).toEqual({
      cat: { datatype: "INT64", shape: [1, 1], data: BigInt64Array.of(1n) },
      num: { datatype: "FP32", shape: [1, 2], data: Float32Array.of(39, 40) },
    });
    const byName = await task([
      input("hours", "FP64", 1),
      input("sex", "INT32"),
      input("age", "FP32", null),
    ]).prepare([
      [39, "Male", 40],
      [20, "Female", 8],
    ]);
    expect(byName.inputs).toEqual({
      hours: { datatype: "FP64", shape: [2, 1], data: Float64Array.of(40, 8) },
      sex: { datatype: "INT32", shape: [2], data: Int32Array.of(1, 0) },
      age: { datatype: "FP32", shape: [2, 1], data: Float32Array.of(39, 20) },
    });
  });

  it("maps key columns to features", async () => {
    const prepared = await one.prepare([[1, 0, 2]]);
    expect(one.layout).toEqual({
      kind: "features",
      firstKey: 1,
      names: ["age", "sex", "hours"],
      protected: [],
    });
    expect([0, 1, 3, 4].map((column) => prepared.locate(0, column))).toEqual([
      null,
      { feature: "age" },
      { feature: "hours" },
      null,
    ]);
    expect((await task([input("x", "FP32", 3)], 0).prepare([[1, 0, 2]])).locate(0, 0)).toEqual({
      feature: "age",
    });
  });

  it.each([
    [[1, "Mail", 2], 'instances[1][1] (sex): "Mail" is none of the 2 categories (Female, Male)'],
    [[1, 2, 2], "instances[1][1] (sex): expected an index from 0 to 1, got 2"],
    [[1, 0.5, 2], "instances[1][1] (sex): expected an index from 0 to 1, got 0.5"],
    [[1, true, 2], "instances[1][1] (sex): expected a category by name or index, got a boolean"],
    [["old", 0, 2], "instances[1][0] (age): expected a number, got a string"],
    [[NaN, 0, 2], "instances[1][0] (age): expected a number, got NaN"],
    [[1, 0, null], "instances[1][2] (hours): the value is missing"],
    [[1, "", 2], "instances[1][1] (sex): the value is missing"],
    [[1, 0], "instances[1]: expected 3 values (age, sex, hours), got 2"],
    [{ age: 1, sex: 0 }, "instances[1].hours: the value is missing"],
    [{ age: 1, sex: 0, hours: 2, zip: 3 }, 'instances[1]: "zip" is no column (columns: age, sex, hours)'],
    [{ __proto__: { age: 1 }, sex: 0, hours: 2 }, "instances[1].age: the value is missing"],
    ["39,Male,40", "instances[1]: expected a list or an object of 3 values, got a string"],
  ])("names sample and column: %j", async (instance, fault) => {
    expect(await faultOf(instance)).toBe(`ATPATCH_BAD_INPUT ${fault}`);
  });

  it("refuses a number the input cannot hold", async () => {
    const integers = task([input("x", "INT32", 3)]);
    await expect(integers.prepare([[1, 0, 2.5]])).rejects.toThrow(
      "instances[0]: hours: the model takes a whole number from -2147483648 to 2147483647, got 2.5",
    );
  });

  it.each([
    [[input("x", "FP32", 4)]],
    [[input("x", "FP32", 3), input("y", "FP32", 3)]],
    [[input("cat", "INT64", 2), input("num", "FP32", 1)]],
    [[input("x", "FP32", 3, 1)]],
    [[input("age", "FP32"), input("sex", "INT64"), input("days", "FP32")]],
  ])("refuses columns that do not fit the inputs: %#", (inputs) => {
    expect(() => task(inputs)).toThrow(
      /^atpatch\.json: columns: 3 columns \(1 categories\) do not fit the model's inputs/,
    );
  });
});
