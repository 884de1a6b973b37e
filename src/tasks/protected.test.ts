import { describe, expect, it } from "vitest";
import type { Column } from "./atpatch-json.ts";
import { protectedAttributes } from "./protected.ts";

const columns: Column[] = [
  { name: "hours", kind: "number" },
  { name: "sex", kind: "category", categories: ["Female", "Male"], protected: { privileged: ["Male"] } },
  { name: "age", kind: "number", protected: { privileged: "> 25", values: [24, 30] } },
];
const [sex, age] = protectedAttributes(columns);

describe("protectedAttributes", () => {
  it("knows who is privileged, in rows and objects, by name and by index", () => {
    expect(sex!.name).toBe("sex");
    expect(
      [[1, "Male", 3], [1, 0, 3], { hours: 1, sex: 1, age: 3 }].map((row) => sex!.isPrivileged(row)),
    ).toEqual([true, false, true]);
    expect([25, 26].map((years) => age!.isPrivileged([1, "Male", years]))).toEqual([false, true]);
  });

  it("gives every category, or the values that are named, and puts them in place of the own one", () => {
    expect([sex!.values, age!.values]).toEqual([
      ["Female", "Male"],
      [24, 30],
    ]);
    const row = [1, "Male", 40];
    expect(sex!.withValue(row, "Female")).toEqual([1, "Female", 40]);
    expect(age!.withValue({ hours: 1, sex: "Male", age: 40 }, 24)).toEqual({
      hours: 1,
      sex: "Male",
      age: 24,
    });
    expect(row).toEqual([1, "Male", 40]);
  });
});
