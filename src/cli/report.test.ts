/** Reports as the command line writes them, on a few samples of the example models. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { atpatch } from "../test/command-line.ts";

const modelFolder = (name: string): string => fileURLToPath(new URL(`../../models/${name}`, import.meta.url));

/** The first samples of each set as a file of their own. */
async function few(name: string, file: string, clean: number, failing: number): Promise<string> {
  const lines = gunzipSync(await readFile(join(modelFolder(name), file)))
    .toString()
    .split("\n");
  const of = (set: string, most: number): string[] =>
    lines.filter((line) => line.includes(`"set":"${set}"`)).slice(0, most);
  const path = join(folder, `${name}.jsonl`);
  const rows = [...of("clean", clean), ...of("failing", failing)].map((line) =>
    JSON.stringify({ ...(JSON.parse(line) as object), pair: null }),
  );
  await writeFile(path, rows.join("\n"));
  return path;
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "atpatch-report-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const shown = (page: string): string => page.slice(page.indexOf("<main>")).replaceAll(/\s+/g, " ");

describe("evaluate --report", () => {
  it.each([
    [
      "gtsrb-vit",
      /<h1>The patch ends the attack: success falls from 100\.0 % to /,
      /<image href="data:image\/png;base64,/,
    ],
    [
      "sst2-bert",
      /<h1>The patch ends the attack: /,
      /<span class="token h\d flagged" title="[\d.]+ × an even share" ?>/,
    ],
    ["adult-ft", /<h1>No answer depends on sex any more /, /<div class="feature flagged">/],
  ])("draws %s: verdict, attention, alternatives", async (name, verdict, drawn) => {
    const report = join(folder, `${name}-report`);
    const test = await few(name, "test.jsonl.gz", 20, 10);
    const { code, err } = await atpatch(
      "evaluate",
      "--model",
      modelFolder(name),
      "--test",
      test,
      "--report",
      report,
    );
    expect([code, err]).toEqual([0, expect.stringContaining(`report: ${join(report, "index.html")}`)]);
    expect((await readdir(report)).sort()).toEqual(["index.html", "report.json"]);
    const page = shown(await readFile(join(report, "index.html"), "utf8"));
    expect(page).toMatch(verdict);
    expect(page).toMatch(drawn);
    expect(page).toContain("as many random columns repaired");
    expect(page).not.toContain(folder);
    const document = JSON.parse(await readFile(join(report, "report.json"), "utf8")) as {
      readonly examples: readonly {
        attention: readonly { before: number[]; after: number[] }[];
        columns: number[];
      }[];
    };
    const [{ attention, columns } = { attention: [], columns: [] }] = document.examples;
    const { before, after } = attention[0]!;
    // Multiples of an even share: their mean over the visible keys is 1.
    expect(before.reduce((sum, x) => sum + x, 0) / before.length).toBeCloseTo(1, 1);
    expect(columns.length).toBeGreaterThan(0);
    expect(after).not.toEqual(before);
  });

  it("asks for the cause where there is no detector, and says first that columns do not carry it", async () => {
    const report = join(folder, "no-detector");
    const test = await few("mnist-blend", "test.jsonl.gz", 110, 9);
    const args = ["--model", modelFolder("mnist-blend"), "--test", test, "--report", report];
    expect((await atpatch("evaluate", ...args, "--no-baselines")).code).toBe(0);
    const page = shown(await readFile(join(report, "index.html"), "utf8"));
    expect(page).toMatch(/<h1>Attention columns do not carry these failures: /);
    expect(page).toContain("when some window of columns is repaired");
  });

  it("refuses a folder of somebody else before it does any work", async () => {
    const { code, err } = await atpatch(
      "evaluate",
      "--model",
      "none",
      "--test",
      "none",
      "--report",
      modelFolder("adult-ft"),
    );
    expect(code).toBe(1);
    expect(err).toContain("holds files that are no report");
  });
});

describe("train --report", () => {
  it("reports a refusal with its evidence and still fails", async () => {
    const name = "mnist-blend";
    const [report, out] = [join(folder, "refused"), join(folder, "refused.safetensors")];
    const debug = await few(name, "debug.jsonl.gz", 60, 9);
    const { code, err } = await atpatch(
      "train",
      "--model",
      modelFolder(name),
      "--debug",
      debug,
      "--out",
      out,
      "--report",
      report,
      "--false-flag-rate",
      "0.05",
    );
    expect([code, err]).toEqual([
      1,
      expect.stringContaining("attention columns do not carry these failures"),
    ]);
    const page = shown(await readFile(join(report, "index.html"), "utf8"));
    expect(page).toMatch(/<h1>Attention columns do not carry these failures/);
    expect(page).toContain("Why no patch was made");
    expect(await readdir(folder)).not.toContain("refused.safetensors");
  });
});
