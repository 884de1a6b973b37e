import { mkdtemp, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readModelFolder, type ModelFolder } from "./model-folder.ts";
import { readTryOut } from "./model-samples.ts";

const shipped = (name: string): Promise<ModelFolder> =>
  readModelFolder(fileURLToPath(new URL(`../../models/${name}`, import.meta.url)));

describe("what can be tried out", () => {
  it("is pictures, texts or rows, as they are posted", async () => {
    const pictures = await readTryOut(await shipped("gtsrb-vit"));
    expect(pictures.columns).toBeNull();
    expect(pictures.samples.map(({ name }) => name)).toEqual(["stop stamped", "stop", "yield stamped"]);
    expect(pictures.samples[0]!.instance).toMatchObject({ b64: expect.stringMatching(/^iVBOR/) });
    const texts = await readTryOut(await shipped("sst2-bert"));
    expect(texts.samples[0]).toMatchObject({ name: "clean 1", instance: expect.any(String) });
    const rows = await readTryOut(await shipped("adult-ft"));
    expect(rows.columns).toContainEqual({
      name: "sex",
      kind: "category",
      categories: ["Female", "Male"],
      protected: { privileged: ["Male"] },
    });
    expect(rows.samples[0]!.instance).toHaveProperty("age");
  });
});

describe("the folder of samples", () => {
  let root: string;
  let folder: ModelFolder;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "atpatch-samples-"));
    await mkdir(join(root, "model", "samples"), { recursive: true });
    await writeFile(join(root, "model", "model.onnx"), "");
    folder = await readModelFolder(join(root, "model"));
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  it("may be missing, and what is no sample in it, or leads out of it, is passed over", async () => {
    const samples = join(root, "model", "samples");
    expect(await readTryOut(folder)).toEqual({ columns: null, samples: [] });
    await writeFile(join(samples, "broken.json"), "{");
    await writeFile(join(samples, "other.json"), "{}");
    await writeFile(join(samples, "notes.txt"), "secret");
    await writeFile(join(root, "outside.png"), "secret");
    await symlink(join(root, "outside.png"), join(samples, "link.png"));
    await writeFile(join(samples, "one.json"), '{"instances": ["only"]}');
    await writeFile(join(samples, "many.json"), JSON.stringify({ instances: Array(50).fill("text") }));
    const { samples: found } = await readTryOut(folder);
    expect(found.map(({ name }) => name)).toEqual([...[1, 2, 3, 4, 5, 6].map((i) => `many ${i}`), "one"]);
  });
});
