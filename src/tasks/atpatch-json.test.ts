import { describe, expect, it } from "vitest";
import { parseAtPatchSettings } from "./atpatch-json.ts";

const sex = {
  name: "sex",
  kind: "category",
  categories: ["Female", "Male"],
  protected: { privileged: ["Male"] },
};
const age = { name: "age", kind: "number", protected: { privileged: "> 25", values: [24, 30] } };

function faults(content: Record<string, unknown>): string {
  try {
    parseAtPatchSettings(content);
  } catch (error) {
    return (error as Error).message;
  }
  return "";
}

describe("parseAtPatchSettings", () => {
  it("takes everything the contract names", () => {
    const content = {
      task: "tabular-classification",
      labels: ["bad", "good"],
      favourable: 1,
      limits: { instances: 8, pixels: 1_000_000 },
      engine: { workers: 1, threads: 2, queue: 8, deadline_ms: 500 },
      policy: { mode: "observe", onError: "closed" },
      columns: [sex, age],
      firstKey: 0,
      grid: [8, 8],
      output: { name: "probs", kind: "probabilities" },
    };
    expect(parseAtPatchSettings(content)).toEqual(content);
    expect(parseAtPatchSettings({})).toEqual({});
  });

  it("lists every fault", () => {
    const message = faults({
      taks: "tensor",
      task: "images",
      favourable: -1,
      limits: { pixels: 0, megapixels: 3 },
      policy: { mode: "on" },
      columns: [
        sex,
        { ...age, kinds: 1 },
        { name: "x", kind: "real" },
        3,
        { kind: "category", categories: [] },
      ],
    });
    expect(message.startsWith("atpatch.json: ")).toBe(true);
    for (const fault of [
      "taks: unknown key (known: task, labels,",
      'task: must be one of "text-classification", "image-classification", "tabular-classification", "tensor"',
      "favourable: must be >= 0",
      "limits.pixels: must be >= 1",
      "limits.megapixels: unknown key",
      'policy.mode: must be one of "off", "observe", "enforce"',
      "columns[1].kinds: unknown key",
      'columns[2].kind: must be "category" or "number"',
      "columns[3]: must be an object",
      "columns[4]: must have required properties name",
      "columns[4].categories: must not have fewer than 1 items",
    ]) {
      expect(message).toContain(fault);
    }
    expect(faults({ limits: { megapixels: 3 } })).toBe("atpatch.json: limits.megapixels: unknown key");
  });

  it.each([
    [{ labels: ["a"], favourable: 1 }, "favourable: 1 is no index of the 1 labels"],
    [{ columns: [sex, sex] }, 'columns[1].name: "sex" is named twice'],
    [
      { columns: [{ ...sex, protected: { privileged: ["man"] } }] },
      'columns[0].protected.privileged: "man" is none of the categories',
    ],
    [
      { columns: [{ ...age, protected: { privileged: "over 25" } }] },
      "columns[0].protected.privileged: must match",
    ],
    [{ columns: "x" }, "columns: must be array"],
    [{ __proto__: null, toString: 1 }, "toString: unknown key"],
  ])("refuses what contradicts itself: %#", (content, fault) => {
    expect(faults(content)).toContain(fault);
  });
});
