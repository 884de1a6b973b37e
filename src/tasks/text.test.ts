import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { TensorInfo } from "../shared/tensor.ts";
import { createClassScores } from "./class-scores.ts";
import type { JsonObject } from "./folder-files.ts";
import { createTextTask, isTextModel } from "./text.ts";
import { createTokenizer } from "./tokenizer.ts";
import type { Task } from "./task.ts";

const { families } = JSON.parse(
  readFileSync(new URL("testdata/tokenizers.json", import.meta.url), "utf8"),
) as { families: { name: string; json: JsonObject; config: JsonObject }[] };
const tokenizer = (name: string) => {
  const { json, config } = families.find((one) => one.name === name)!;
  return createTokenizer(json, config);
};

const scores = createClassScores({ config: null, settings: {}, labels: ["bad", "good"] }, []);
const ids = (datatype: TensorInfo["datatype"] = "INT64", length: number | null = null) =>
  ({ name: "input_ids", datatype, shape: [null, length] }) as const;
const mask: TensorInfo = { name: "attention_mask", datatype: "INT64", shape: [null, null] };
const types: TensorInfo = { name: "token_type_ids", datatype: "INT32", shape: [null, null] };
const positions: TensorInfo = { name: "position_ids", datatype: "INT64", shape: [null, null] };

function task(inputs: readonly TensorInfo[], more: Partial<Parameters<typeof createTextTask>[0]> = {}): Task {
  return createTextTask({ inputs, tokenizer: tokenizer("bert"), scores, maxLength: null, ...more });
}
const numbers = (data: unknown): number[] => Array.from(data as ArrayLike<number | bigint>, Number);
const faultOf = async (one: Task, instances: readonly unknown[]): Promise<string> => {
  try {
    await one.prepare(instances);
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return `${code} ${message}`;
  }
  return "none";
};

describe("createTextTask", () => {
  it("pads to the longest text and fills every input", async () => {
    const { batch, inputs } = await task([ids(), mask, types, positions]).prepare(["the", "the two the"]);
    expect(batch).toBe(2);
    expect(inputs.input_ids?.shape).toEqual([2, 5]);
    const [cls, the, sep, ...rest] = numbers(inputs.input_ids?.data);
    expect([cls, sep, rest.slice(0, 2)]).toEqual([2, 3, [0, 0]]);
    expect(rest.slice(2)).toEqual([2, the, rest[4], the, 3]);
    expect(inputs.input_ids?.data).toBeInstanceOf(BigInt64Array);
    expect(numbers(inputs.attention_mask?.data)).toEqual([1, 1, 1, 0, 0, 1, 1, 1, 1, 1]);
    expect(inputs.token_type_ids).toEqual({ datatype: "INT32", shape: [2, 5], data: new Int32Array(10) });
    expect(numbers(inputs.position_ids?.data)).toEqual([0, 1, 2, 1, 1, 0, 1, 2, 3, 4]);
  });

  it("pads in front where the tokenizer does, and finds the tokens there", async () => {
    const left = task([ids(), mask], { tokenizer: tokenizer("unigram") });
    const prepared = await left.prepare(["a", "a funny story"]);
    const length = prepared.inputs.input_ids!.shape[1]!;
    const first = numbers(prepared.inputs.attention_mask?.data).slice(0, length);
    expect(first.indexOf(1)).toBeGreaterThan(0);
    expect(first.lastIndexOf(0)).toBe(first.indexOf(1) - 1);
    const places = Array.from({ length }, (_, column) => prepared.locate(0, column));
    expect(places.filter((place) => place !== null)).toEqual([expect.objectContaining({ start: 0, end: 1 })]);
    expect(places[0]).toBeNull();
    expect(left.layout).toEqual({ kind: "sequence", firstKey: 0 });
  });

  it("cuts to the shortest of the lengths that files and graph tell", async () => {
    const long = "the ".repeat(600);
    const lengthOf = async (one: Task): Promise<number | undefined> =>
      (await one.prepare([long])).inputs.input_ids?.shape[1];
    expect(await lengthOf(task([ids(), mask]))).toBe(512);
    expect(await lengthOf(task([ids(), mask], { maxLength: 40 }))).toBe(40);
    expect(await lengthOf(task([ids("INT64", 16), mask], { maxLength: 40 }))).toBe(16);
    const short = await task([ids("INT64", 8)]).prepare(["the"]);
    expect(short.inputs.input_ids?.shape).toEqual([1, 8]);
  });

  it("maps key columns to tokens and code points", async () => {
    const one = task([ids(), mask]);
    const prepared = await one.prepare(["Café 😀 the"]);
    const places = Array.from({ length: prepared.inputs.input_ids!.shape[1]! }, (_, column) =>
      prepared.locate(0, column),
    );
    expect(one.layout).toEqual({ kind: "sequence", firstKey: 1 });
    expect([places[0], places.at(-1), prepared.locate(0, 99), prepared.locate(5, 1)]).toEqual([
      null,
      null,
      null,
      null,
    ]);
    expect(places.slice(-3, -1)).toEqual([
      { token: "[UNK]", start: 5, end: 6 },
      { token: "the", start: 7, end: 10 },
    ]);
    expect(task([ids(), mask], { firstKey: 3 }).layout.firstKey).toBe(3);
  });

  it.each([
    [[7], "ATPATCH_BAD_INPUT instances[0]: expected a text, got 7"],
    [["a", null], "ATPATCH_BAD_INPUT instances[1]: expected a text, got null"],
    [[["a"]], "ATPATCH_BAD_INPUT instances[0]: expected a text, got a list"],
    [[], "ATPATCH_BAD_INPUT instances: expected at least one instance"],
    [
      ["x".repeat(1_000_001)],
      "ATPATCH_UNPROCESSABLE instances[0]: has 1000001 characters, at most 1000000 are accepted",
    ],
  ])("names the instance: %#", async (instances, fault) => {
    expect(await faultOf(task([ids(), mask]), instances)).toContain(fault);
  });

  it("does not pad for a model that could not tell padding from text", async () => {
    expect(await faultOf(task([ids()]), ["the", "the two"])).toBe(
      "ATPATCH_UNPROCESSABLE instances[0]: has 3 tokens, another has 4: the model takes no attention_mask, so texts of one request need one length",
    );
    expect(await faultOf(task([ids()]), ["the", "two"])).toBe("none");
  });
});

describe("isTextModel", () => {
  it.each([
    [[ids(), mask, types], true],
    [[ids("INT32")], true],
    [[mask], false],
    [[ids(), { ...mask, name: "pixel_values" }], false],
    [[{ ...ids(), shape: [null, null, null] }], false],
  ])("%#", (inputs, expected) => {
    expect(isTextModel(inputs)).toBe(expected);
  });
});
