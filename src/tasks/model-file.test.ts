import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { fingerprint } from "../hotfix/fingerprint.ts";
import { randomVit, vitTiny } from "../test/random-vit.ts";
import { readModelFile } from "./model-file.ts";

const folder = mkdtempSync(join(tmpdir(), "atpatch-model-file-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("readModelFile", () => {
  it("reads small files whole", async () => {
    const bytes = randomVit(vitTiny);
    writeFileSync(join(folder, "small.onnx"), bytes);
    const file = await readModelFile(join(folder, "small.onnx"));
    expect(file.weightSample).toBeUndefined();
    expect(Buffer.compare(file.bytes, bytes)).toBe(0);
  });

  it("reads large files without their weights, under the same fingerprint", async () => {
    const bytes = randomVit({ ...vitTiny, width: 256, heads: 4 });
    expect(bytes.length).toBeGreaterThan(4 << 20);
    writeFileSync(join(folder, "large.onnx"), bytes);
    const file = await readModelFile(join(folder, "large.onnx"));
    expect(file.bytes.length).toBeLessThan(100_000);
    expect(fingerprint(file)).toBe(fingerprint({ bytes, name: "any.onnx" }));
    const retrained = randomVit({ ...vitTiny, width: 256, heads: 4, seed: 2 });
    expect(fingerprint({ bytes: retrained, name: "any.onnx" })).not.toBe(fingerprint(file));
  });

  it("gives a large file that is no model to the validator as it is", async () => {
    const junk = new Uint8Array(5 << 20).fill(0xff);
    writeFileSync(join(folder, "junk.onnx"), junk);
    expect((await readModelFile(join(folder, "junk.onnx"))).bytes.length).toBe(junk.length);
  });
});
