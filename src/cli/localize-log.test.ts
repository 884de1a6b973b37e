import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { LocatedSample } from "../training/localize-set.ts";
import { LocalizeLog } from "./localize-log.ts";

const inputs = { model: "sha256-model", debug_set: "sha256-set", tool: "atpatch 1" };
const sample = (id: string): LocatedSample => ({
  id,
  columns: [3],
  places: [null],
  answer: "stop",
  margin_before: 5.5,
  margin_after: -1,
  passes: 12,
});

let folder: string;
let out: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "localize-log-"));
  out = join(folder, "located.jsonl");
});
afterEach(() => rm(folder, { recursive: true }));

describe("LocalizeLog", () => {
  it("knows what an earlier run has found, but not a line that was cut off", async () => {
    const first = await LocalizeLog.open(out, inputs);
    expect(first.known.size).toBe(0);
    await first.add([sample("a"), sample("b")]);
    await first.close();
    await appendFile(`${out}.partial`, JSON.stringify(sample("c")).slice(0, 20));

    const second = await LocalizeLog.open(out, inputs);
    expect([...second.known]).toEqual([
      ["a", sample("a")],
      ["b", sample("b")],
    ]);
    await second.add([sample("c")]);
    await second.close();
    const third = await LocalizeLog.open(out, inputs);
    expect([...third.known.keys()]).toEqual(["a", "b", "c"]);
    await third.close();
    await third.remove();
    await expect(readFile(`${out}.partial`)).rejects.toThrow("ENOENT");
  });

  it("refuses a file that it has not written", async () => {
    const first = await LocalizeLog.open(out, inputs);
    await first.close();
    for (const line of ["no JSON", "null", `{"id": 3}`]) {
      const before = await readFile(`${out}.partial`, "utf8");
      await appendFile(`${out}.partial`, `${line}\n`);
      await expect(LocalizeLog.open(out, inputs)).rejects.toThrow(/damaged: remove it to begin anew/);
      await writeFile(`${out}.partial`, before);
    }
  });

  it("refuses what belongs to other inputs and leaves it as it is", async () => {
    const first = await LocalizeLog.open(out, inputs);
    await first.add([sample("a")]);
    await first.close();
    const before = await readFile(`${out}.partial`, "utf8");
    await expect(LocalizeLog.open(out, { ...inputs, debug_set: "sha256-other" })).rejects.toMatchObject({
      code: "ATPATCH_BAD_INPUT",
    });
    expect(await readFile(`${out}.partial`, "utf8")).toBe(before);
  });
});
