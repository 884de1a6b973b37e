import { mkdtemp, mkdir, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { listModelFolders, modelFile, readModelFolder } from "./model-folder.ts";

let base: string;
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), "atpatch-folder-"));
});
afterEach(() => rm(base, { recursive: true }));

/** Writes files below `base/name`; objects become JSON. */
async function folder(name: string, files: Record<string, unknown>): Promise<string> {
  for (const [file, content] of Object.entries(files)) {
    const path = join(base, name, file);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, typeof content === "string" ? content : JSON.stringify(content));
  }
  return join(base, name);
}

const failure = (promise: Promise<unknown>): Promise<{ code: string; message: string }> =>
  promise.then(
    () => expect.unreachable("should have failed"),
    (error: unknown) => error as { code: string; message: string },
  );

describe("readModelFolder", () => {
  it("reads a Hugging Face export as it is", async () => {
    const path = await folder("signs", {
      "onnx/model.onnx": "x",
      "config.json": {
        id2label: { "1": "stop", "0": "go" },
        problem_type: "single_label_classification",
        patch_size: 4,
        image_size: [32, 48],
        model_type: "vit",
      },
      "preprocessor_config.json": { do_resize: true },
      "tokenizer.json": {},
      "detectors/b.safetensors": "bb",
      "detectors/a.safetensors": "a",
      "detectors/notes.txt": "",
    });
    const read = await readModelFolder(path);
    expect(read.name).toBe("signs");
    expect(read.version).toBe("1");
    expect(read.model.relative).toBe("onnx/model.onnx");
    expect(read.labels).toEqual(["go", "stop"]);
    expect(read.config).toMatchObject({ patchSize: [4, 4], imageSize: [32, 48] });
    expect(read.preprocessor).toEqual({ do_resize: true });
    expect(read.tokenizer?.relative).toBe("tokenizer.json");
    expect(read.settings).toEqual({});
    expect(read.detectors.map((file) => file.relative)).toEqual([
      "detectors/a.safetensors",
      "detectors/b.safetensors",
    ]);
    expect(read.inferred).toContainEqual({ what: "labels", value: ["go", "stop"], from: "config.json" });
    expect(await modelFile(path)).toBe(read.model.absolute);
  });

  it("takes an .onnx file with the files of its folder", async () => {
    const path = await folder("m", {
      "onnx/model_int8.onnx": "x",
      "config.json": { id2label: { "0": "a" } },
    });
    const read = await readModelFolder(join(path, "onnx/model_int8.onnx"));
    expect([read.name, read.model.relative, read.labels]).toEqual(["m", "onnx/model_int8.onnx", ["a"]]);
    expect((await failure(readModelFolder(path))).message).toBe(
      "the folder has no model.onnx or onnx/model.onnx; found onnx/model_int8.onnx: name that file instead of the folder",
    );
  });

  it("takes the highest version unless told, and lets a version's own files go first", async () => {
    const path = await folder("m", {
      "2/model.onnx": "x",
      "10/onnx/model.onnx": "x",
      "10/atpatch.json": { labels: ["ten"] },
      "atpatch.json": { labels: ["any"] },
      "007/model.onnx": "x",
    });
    const newest = await readModelFolder(path);
    expect(newest.versions.map((v) => v.version)).toEqual(["2", "10"]);
    expect([newest.version, newest.model.relative, newest.labels]).toEqual([
      "10",
      "10/onnx/model.onnx",
      ["ten"],
    ]);
    const older = await readModelFolder(path, { version: "2" });
    expect([older.version, older.labels]).toEqual(["2", ["any"]]);
    expect((await failure(readModelFolder(path, { version: "3" }))).message).toBe(
      "there is no version 3, only 2, 10",
    );
    expect((await readModelFolder(join(path, "10/onnx/model.onnx"))).labels).toEqual(["ten"]);
  });

  it("gives labels that come twice their index", async () => {
    const path = await folder("m", {
      "model.onnx": "x",
      "config.json": { id2label: { "0": "crane", "1": "owl", "2": "crane" } },
    });
    expect((await readModelFolder(path)).labels).toEqual(["crane", "owl", "crane #2"]);
  });

  it.each([
    [{ max_position_embeddings: 512, model_type: "bert", pad_token_id: 0 }, 512],
    [{ max_position_embeddings: 514, model_type: "xlm-roberta", pad_token_id: 1 }, 512],
    [{ max_position_embeddings: "many" }, null],
  ])("knows how many tokens have a position: %j", async (config, expected) => {
    const path = await folder("m", { "model.onnx": "x", "config.json": config });
    expect((await readModelFolder(path)).config?.maxPositions).toBe(expected);
  });

  it("refuses what is no file, and bundles that are too large to be any", async () => {
    const odd = await folder("odd", { "model.onnx/inner": "x" });
    expect((await failure(readModelFolder(odd))).message).toBe("model.onnx: is not a regular file");
    const large = await folder("large", { "model.onnx": "x", "detectors/a.safetensors": "" });
    await truncate(join(large, "detectors/a.safetensors"), 2 ** 26 + 1);
    expect((await failure(readModelFolder(large))).message).toBe(
      "detectors/a.safetensors: has 67108865 bytes, a bundle has at most 67108864",
    );
  });

  it("opens nothing outside the folder", async () => {
    const outside = await folder("outside", { "secret.json": { id2label: { "0": "x" } } });
    const path = await folder("m", { "model.onnx": "x" });
    await symlink(join(outside, "secret.json"), join(path, "config.json"));
    const error = await failure(readModelFolder(path));
    expect(error).toMatchObject({
      code: "ATPATCH_BAD_MODEL",
      message: "config.json: leads out of the model's folder",
    });
  });

  it("follows links that stay inside", async () => {
    const path = await folder("m", { "blobs/abc": "x" });
    await symlink("blobs/abc", join(path, "model.onnx"));
    expect((await readModelFolder(path)).model.relative).toBe("model.onnx");
  });

  it.each([
    ["config.json", '{"id2label": {"0": "a",}}', /^config\.json: is not valid JSON \(line 1, column 24\)$/],
    ["config.json", '{\n "id2label"', /^config\.json: is not valid JSON/],
    ["config.json", "[]", /^config\.json: expected a JSON object$/],
    [
      "config.json",
      { id2label: { "0": "a", "7": "b" } },
      /id2label: must name the classes 0 to 1 .* found key "7"/,
    ],
    ["config.json", { id2label: ["a"] }, /id2label: must be an object/],
    ["config.json", { problem_type: "regresion" }, /problem_type: must be one of single_label/],
    ["preprocessor_config.json", "", /^preprocessor_config\.json: is not valid JSON \(it is empty\)$/],
    ["config.json", " ".repeat(17 << 20), /^config\.json: has 17825792 bytes, at most 16777216 are read$/],
  ])("reports a broken %s by name and place: %#", async (file, content, message) => {
    const path = await folder("m", { "model.onnx": "x", [file]: content });
    const error = await failure(readModelFolder(path));
    expect(error.code).toBe("ATPATCH_BAD_MODEL");
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain(base);
  });

  it("says that a folder is missing without telling where it looked", async () => {
    expect(await failure(readModelFolder(join(base, "no")))).toMatchObject({
      code: "ATPATCH_BAD_MODEL",
      message: "the model folder does not exist or is not a folder",
    });
  });
});

describe("listModelFolders", () => {
  it("lists folders that hold a model", async () => {
    await folder("b", { "model.onnx": "x" });
    await folder("a", { "3/model.onnx": "x" });
    await folder("no", { "readme.md": "x" });
    await folder(".hidden", { "model.onnx": "x" });
    expect(await listModelFolders(base)).toEqual([join(base, "a"), join(base, "b")]);
  });
});
