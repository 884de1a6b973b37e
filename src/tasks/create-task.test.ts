import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TensorInfo } from "../shared/tensor.ts";
import { createTask, inferTaskKind, type TaskModel } from "./create-task.ts";
import { readModelFolder, type ModelFolder } from "./model-folder.ts";

let base: string;
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), "atpatch-task-"));
  await writeFile(join(base, "model.onnx"), "x");
});
afterEach(() => rm(base, { recursive: true }));

async function folder(files: Record<string, unknown>): Promise<ModelFolder> {
  for (const [name, content] of Object.entries(files))
    await writeFile(join(base, name), JSON.stringify(content));
  return readModelFolder(base);
}

const picture: TensorInfo = { name: "pixel_values", datatype: "FP32", shape: [null, 3, 32, 32] };
const ids: TensorInfo = { name: "input_ids", datatype: "INT64", shape: [null, null] };
const row: TensorInfo = { name: "x", datatype: "FP32", shape: [null, 2] };
const model = (...inputs: TensorInfo[]): TaskModel => ({
  inputs,
  outputs: [{ name: "logits", datatype: "FP32", shape: [null, 2] }],
  sites: [],
});
const columns = [
  { name: "age", kind: "number" },
  { name: "sex", kind: "category", categories: ["Female", "Male"] },
];

describe("inferTaskKind", () => {
  it.each([
    [{ "tokenizer.json": {} }, [ids], "text-classification", "tokenizer.json"],
    [{ "preprocessor_config.json": {} }, [picture], "image-classification", "preprocessor_config.json"],
    [
      { "tokenizer.json": {}, "preprocessor_config.json": {} },
      [picture],
      "image-classification",
      "preprocessor_config.json",
    ],
    [
      { "tokenizer.json": {}, "preprocessor_config.json": {} },
      [ids, picture],
      "tensor",
      "the model's inputs",
    ],
    [{ "preprocessor_config.json": {} }, [row], "tensor", "the model's inputs"],
    [{ "atpatch.json": { columns } }, [row], "tabular-classification", "atpatch.json columns"],
    [
      { "atpatch.json": { task: "tensor" }, "preprocessor_config.json": {} },
      [picture],
      "tensor",
      "atpatch.json",
    ],
    [{}, [picture], "tensor", "the model's inputs"],
  ])("%j", async (files, inputs, value, from) => {
    expect(inferTaskKind(await folder(files), model(...inputs))).toEqual({ what: "task", value, from });
  });
});

describe("createTask", () => {
  it("makes an image task from a Hugging Face folder", async () => {
    const task = await createTask(
      await folder({
        "config.json": { patch_size: 4, id2label: { "0": "go", "1": "stop" } },
        "preprocessor_config.json": { size: 32 },
        "atpatch.json": { limits: { instances: 1, pixels: 4 } },
      }),
      model(picture),
    );
    expect(task).toMatchObject({
      kind: "image-classification",
      labels: ["go", "stop"],
      layout: { kind: "grid", firstKey: 1, rows: 8, columns: 8 },
    });
    await expect(task.prepare([1, 2])).rejects.toThrow("instances: at most 1 at once, got 2");
    const b64 =
      "iVBORw0KGgoAAAANSUhEUgAAAAkAAAAHAQAAAAAHGpK4AAAAD0lEQVR4nGNgwAk+MDAAAAGNAAFWr8ohAAAAAElFTkSuQmCC";
    await expect(task.prepare([{ b64 }])).rejects.toThrow("at most 4 are accepted");
  });

  it("makes a tensor task when nothing says more", async () => {
    const task = await createTask(await folder({ "atpatch.json": { firstKey: 0 } }), model(row));
    expect(task).toMatchObject({
      kind: "tensor",
      labels: ["0", "1"],
      layout: { kind: "sequence", firstKey: 0 },
    });
    expect((await task.prepare([[1, 2]])).inputs.x?.shape).toEqual([1, 2]);
  });

  it("makes a text task with the folder's tokenizer", async () => {
    const { families } = JSON.parse(
      await readFile(new URL("testdata/tokenizers.json", import.meta.url), "utf8"),
    ) as { families: { json: unknown; config: unknown }[] };
    const task = await createTask(
      await folder({
        "tokenizer.json": families[0]?.json,
        "tokenizer_config.json": families[0]?.config,
        "config.json": { max_position_embeddings: 5 },
      }),
      model(ids),
    );
    expect(task).toMatchObject({ kind: "text-classification", layout: { kind: "sequence", firstKey: 1 } });
    const { inputs } = await task.prepare(["the two the two the two"]);
    expect(inputs.input_ids?.shape).toEqual([1, 5]);
  });

  it("makes a tabular task from columns", async () => {
    const task = await createTask(await folder({ "atpatch.json": { columns } }), model(row));
    expect(task).toMatchObject({ kind: "tabular-classification", layout: { kind: "features", firstKey: 1 } });
    expect((await task.prepare([{ sex: "Male", age: 3 }])).inputs.x?.data).toEqual(Float32Array.of(3, 1));
  });

  it.each([
    [{ "atpatch.json": { task: "image-classification" } }, [picture], "needs preprocessor_config.json"],
    [
      { "atpatch.json": { task: "image-classification" }, "preprocessor_config.json": {} },
      [ids],
      "task image-classification needs a model with one picture as its only input",
    ],
    [
      { "preprocessor_config.json": { size: 16 } },
      [picture],
      "makes 16 × 16 pixels, the model takes 32 × 32",
    ],
    [
      { "atpatch.json": { labels: ["a", "b", "c"] } },
      [row],
      "the model has 2 classes, but 3 labels are given",
    ],
  ])("refuses files that contradict the model: %j", async (files, inputs, message) => {
    await expect(createTask(await folder(files), model(...inputs))).rejects.toThrow(message);
  });
});
