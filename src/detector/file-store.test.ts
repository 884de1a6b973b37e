import { appendFile, chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { exampleDraft, testStore } from "../test/store.contract.ts";
import { bundleId } from "./bundle.ts";
import { FileStore } from "./file-store.ts";

const opened: FileStore[] = [];
let base: string;

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), "atpatch-store-"));
});
afterAll(async () => {
  for (const store of opened) await store.close().catch(() => {});
  await rm(base, { recursive: true });
});

const newRoot = () => mkdtemp(join(base, "root-"));
async function openAt(root: string, model = "model"): Promise<FileStore> {
  const store = await FileStore.open({ root, model });
  opened.push(store);
  return store;
}

testStore("file store", async () => openAt(await newRoot()));

describe("file store", () => {
  it("has everything again after it was opened anew", async () => {
    const root = join(await newRoot(), "not", "there", "yet");
    const store = await openAt(root);
    const { id } = await store.put(Uint8Array.of(1));
    const entry = await store.append(exampleDraft(1, "why"));
    const list = await store.list();
    await store.close();
    const again = await openAt(root);
    expect(Uint8Array.from(await again.get(id))).toEqual(Uint8Array.of(1));
    expect(await again.list()).toEqual(list);
    expect(await again.last()).toEqual(entry);
    expect((await again.append(exampleDraft(2))).sequence).toBe(1);
  });

  it("keeps models apart", async () => {
    const root = await newRoot();
    const { id } = await (await openAt(root, "a")).put(Uint8Array.of(1));
    await expect((await openAt(root, "b")).get(id)).rejects.toMatchObject({
      code: "ATPATCH_UNKNOWN_DETECTOR",
    });
  });

  it.each(["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "a\0b", "ü", "x".repeat(129)])(
    "refuses the model name %j",
    async (model) => {
      const root = await newRoot();
      await expect(openAt(root, model)).rejects.toMatchObject({ code: "ATPATCH_BAD_SETTINGS" });
      expect(await readdir(root)).toEqual([]);
    },
  );

  it("lets nobody else read", async () => {
    const root = join(await newRoot(), "state");
    const store = await openAt(root);
    const { id } = await store.put(Uint8Array.of(1));
    await store.append(exampleDraft(1));
    const mode = async (...path: string[]) => (await stat(join(root, ...path))).mode & 0o777;
    expect(await mode()).toBe(0o700);
    expect(await mode("model")).toBe(0o700);
    expect(await mode("model", "detectors")).toBe(0o700);
    expect(await mode("model", "detectors", id)).toBe(0o600);
    expect(await mode("model", "control.jsonl")).toBe(0o600);
  });

  it("clears half-written files away and leaves none behind", async () => {
    const root = await newRoot();
    const detectors = join(root, "model", "detectors");
    await mkdir(detectors, { recursive: true });
    await writeFile(join(detectors, ".tmp-0"), "half");
    const store = await openAt(root);
    const { id } = await store.put(Uint8Array.of(1));
    expect(await readdir(detectors)).toEqual([id]);
  });

  it("lists nothing but detectors", async () => {
    const root = await newRoot();
    const store = await openAt(root);
    await writeFile(join(root, "model", "detectors", "README"), "");
    await writeFile(join(root, "model", "detectors", "sha256-12"), "");
    expect(await store.list()).toEqual([]);
  });

  it("notices damaged content, and heals it when the same bytes come again", async () => {
    const root = await newRoot();
    const store = await openAt(root);
    const { id } = await store.put(Uint8Array.of(1, 2, 3));
    const path = join(root, "model", "detectors", id);
    for (const damage of [Uint8Array.of(1, 2), Uint8Array.of(1, 2, 4), Uint8Array.of()]) {
      await writeFile(path, damage);
      await expect(store.get(id)).rejects.toMatchObject({ code: "ATPATCH_INTERNAL" });
      await expect(store.get(id)).rejects.not.toThrow(root);
    }
    expect(await store.put(Uint8Array.of(1, 2, 3))).toEqual({ id, created: false });
    expect(bundleId(await store.get(id))).toBe(id);
  });

  it("tells without a path when it cannot write", async () => {
    const root = await newRoot();
    const store = await openAt(root);
    const detectors = join(root, "model", "detectors");
    await rm(detectors, { recursive: true });
    const failed = store.put(Uint8Array.of(1));
    await expect(failed).rejects.toMatchObject({ code: "ATPATCH_INTERNAL" });
    await expect(failed).rejects.not.toThrow(root);
  });
});

describe("control log on a file", () => {
  /** A store with three entries, closed; the last has text of several bytes a letter. */
  async function written(): Promise<{ root: string; path: string; bytes: Buffer; lines: string[] }> {
    const root = await newRoot();
    const store = await openAt(root);
    for (const revision of [1, 2, 3]) await store.append(exampleDraft(revision, "grün \u2028 ✓"));
    await store.close();
    const path = join(root, "model", "control.jsonl");
    const bytes = await readFile(path);
    return { root, path, bytes, lines: bytes.toString().trimEnd().split("\n") };
  }

  it("loses exactly the last entry when that was cut off, wherever", async () => {
    const { root, path, bytes, lines } = await written();
    const keep = Buffer.byteLength(`${lines[0]}\n${lines[1]}\n`);
    for (const length of [keep, keep + 1, keep + 300, bytes.length - 1]) {
      await writeFile(path, bytes.subarray(0, length));
      const store = await openAt(root);
      expect((await store.last())?.revision).toBe(2);
      expect((await stat(path)).size).toBe(keep);
      expect(await store.append(exampleDraft(3, "again"))).toMatchObject({ sequence: 2, revision: 3 });
      await store.close();
      expect(await (await openAt(root)).read()).toHaveLength(3);
    }
    await writeFile(path, bytes);
    expect((await (await openAt(root)).last())?.revision).toBe(3);
  });

  it("loses the last entry when it was cut off and filled with zeros", async () => {
    const { root, path, bytes, lines } = await written();
    const keep = Buffer.byteLength(`${lines[0]}\n${lines[1]}\n`);
    await writeFile(path, Buffer.concat([bytes.subarray(0, keep + 20), Buffer.alloc(500)]));
    expect((await (await openAt(root)).last())?.revision).toBe(2);
  });

  it.each<[string, (lines: string[]) => string[], string]>([
    [
      "an entry in the middle is no JSON",
      ([a, b = "", c]) => [a!, b.slice(0, -1), c!],
      "entry 1: this is no JSON",
    ],
    [
      "the last entry is whole and no JSON",
      ([a, b, c = ""]) => [a!, b!, c.slice(0, -1)],
      "entry 2: this is no JSON",
    ],
    [
      "an entry was changed",
      ([a, b = "", c]) => [a!, b.replace("alice", "mallo"), c!],
      "entry 2: it does not continue",
    ],
    [
      "an entry has another number",
      ([a, b, c = ""]) => [a!, b!, c.replace('"sequence":2', '"sequence":7')],
      "entry 2: it does not continue",
    ],
    ["an entry was taken out", ([a, , c]) => [a!, c!], "entry 1: it does not continue"],
    ["the first entries were taken out", ([, , c]) => [c!], "entry 0: it does not continue"],
    ["an entry is there twice", ([a, b, c]) => [a!, b!, b!, c!], "entry 2: it does not continue"],
    ["entries changed places", ([a, b, c]) => [a!, c!, b!], "entry 1: it does not continue"],
    ["a line is empty", ([a, b, c]) => [a!, "", b!, c!], "entry 1: this is no JSON"],
    [
      "a field is missing",
      ([a = "", ...rest]) => [a.replace('"actor":"alice",', ""), ...rest],
      "entry 0: fields are",
    ],
    [
      "a field is wrong",
      ([a = "", ...rest]) => [a.replace('"policy"', '"party"'), ...rest],
      "entry 0: fields are",
    ],
  ])("does not open when %s", async (_fault, damage, message) => {
    const { root, path, lines } = await written();
    const damaged = `${damage(lines).join("\n")}\n`;
    await writeFile(path, damaged);
    const opening = openAt(root);
    await expect(opening).rejects.toMatchObject({ code: "ATPATCH_INTERNAL" });
    await expect(opening).rejects.toThrow(message);
    expect((await readFile(path)).toString()).toBe(damaged);
  });

  it("writes nothing more when somebody else wrote to the file", async () => {
    const { root, path, bytes } = await written();
    const store = await openAt(root);
    await appendFile(path, "x\n");
    await expect(store.append(exampleDraft(4))).rejects.toThrow("changed by somebody else");
    expect((await readFile(path)).length).toBe(bytes.length + 2);
    expect(await store.read()).toHaveLength(3);
  });

  it("stays as it is for readers while entries are appended", async () => {
    const store = await openAt(await newRoot());
    await store.append(exampleDraft(0));
    const appends = Array.from({ length: 10 }, (_, index) => store.append(exampleDraft(index + 1)));
    for (let round = 0; round < 10; round += 1) {
      const sequences = (await store.read()).map(({ sequence }) => sequence);
      expect(sequences).toEqual(
        Array.from({ length: sequences.length }, (_, index) => sequences.length - 1 - index),
      );
    }
    await Promise.all(appends);
    expect(await store.read()).toHaveLength(11);
  });

  it("keeps the modes of a folder that exists", async () => {
    const root = await newRoot();
    await chmod(root, 0o750);
    await openAt(root);
    expect((await stat(root)).mode & 0o777).toBe(0o750);
  });
});
