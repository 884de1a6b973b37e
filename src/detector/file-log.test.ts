import { mkdtemp, open, readFile, rm, writeFile, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { exampleDraft } from "../test/store.contract.ts";
import { FileLog, logFlags, type LogFile } from "./file-log.ts";

/** A real file whose operations can be made to fail, writes after the first half. */
class FailingFile implements LogFile {
  readonly #file: FileHandle;
  readonly failing = new Set<"appendFile" | "flush" | "truncate">();

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async appendFile(data: string | Uint8Array): Promise<void> {
    const half = this.failing.has("appendFile");
    await this.#file.appendFile(half ? data.slice(0, data.length / 2) : data);
    if (half) throw new Error("no space left on device");
    if (this.failing.has("flush")) throw new Error("input/output error");
  }

  async sync(): Promise<void> {
    if (this.failing.has("flush")) throw new Error("input/output error");
    await this.#file.sync();
  }

  async truncate(length?: number): Promise<void> {
    if (this.failing.has("truncate")) throw new Error("input/output error");
    await this.#file.truncate(length);
  }

  get fd(): number {
    return this.#file.fd;
  }

  get read(): LogFile["read"] {
    return this.#file.read.bind(this.#file);
  }

  get stat(): LogFile["stat"] {
    return this.#file.stat.bind(this.#file);
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

describe("file log on a failing disk", () => {
  let folder: string;
  let path: string;
  let file: FailingFile;
  let log: FileLog;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "atpatch-log-"));
    path = join(folder, "control.jsonl");
    file = new FailingFile(await open(path, logFlags));
    log = await FileLog.open(file);
    await log.append(exampleDraft(1));
  });
  afterEach(async () => {
    file.failing.clear();
    await log.close();
    await rm(folder, { recursive: true });
  });

  it("takes back an entry that was written halfway", async () => {
    const before = await readFile(path);
    file.failing.add("appendFile");
    await expect(log.append(exampleDraft(2))).rejects.toMatchObject({ code: "ATPATCH_INTERNAL" });
    expect(await readFile(path)).toEqual(before);
    expect(await log.read()).toHaveLength(1);
    file.failing.clear();
    expect(await log.append(exampleDraft(2))).toMatchObject({ sequence: 1 });
    await FileLog.open(file);
  });

  it("writes nothing more when it could not take back what was written", async () => {
    file.failing.add("appendFile").add("truncate");
    await expect(log.append(exampleDraft(2))).rejects.toThrow("could not be written");
    file.failing.clear();
    await expect(log.append(exampleDraft(2))).rejects.toThrow("until a restart");
    expect(await log.read()).toHaveLength(1);
    const again = await FileLog.open(file);
    expect(await again.append(exampleDraft(2))).toMatchObject({ sequence: 1 });
  });

  it("does not count an entry that may not have reached the disk", async () => {
    file.failing.add("flush");
    await expect(log.append(exampleDraft(2))).rejects.toThrow("could not be written");
    file.failing.clear();
    expect(await log.read()).toHaveLength(1);
    await expect(log.append(exampleDraft(2))).rejects.toThrow("until a restart");
  });
});

describe("file log after a crash", () => {
  it("loses exactly the last entry when that was cut off at any byte", async () => {
    const folder = await mkdtemp(join(tmpdir(), "atpatch-log-"));
    const path = join(folder, "control.jsonl");
    const file = await open(path, logFlags);
    const log = await FileLog.open(file);
    await log.append(exampleDraft(1));
    const keep = (await file.stat()).size;
    await log.append(exampleDraft(2, "grün \u2028 ✓"));
    const bytes = await readFile(path);
    for (let length = keep; length < bytes.length; length += 1) {
      await writeFile(path, bytes.subarray(0, length));
      const again = await FileLog.open(file);
      expect((await again.read()).map(({ revision }) => revision)).toEqual([1]);
      expect((await file.stat()).size).toBe(keep);
    }
    await writeFile(path, bytes);
    expect(await (await FileLog.open(file)).read()).toHaveLength(2);
    await log.close();
    await rm(folder, { recursive: true });
  }, 30_000);
});
