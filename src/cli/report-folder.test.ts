import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { reportData } from "../test/report-data.ts";
import { checkReportFolder, writeReport } from "./report-folder.ts";

let parent: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), "atpatch-report-"));
});
afterEach(() => rm(parent, { recursive: true, force: true }));

describe("report folder", () => {
  it("holds the page and the figures without the pictures", async () => {
    const folder = join(parent, "new", "report");
    const data = reportData("plain");
    const source = "data:image/png;base64,AAAA";
    const content = { kind: "picture", source, first_key: 0, rows: 1, columns: 2 } as const;
    const example = { ...data.examples[0]!, content };
    const page = await writeReport(folder, { ...data, examples: [example] }, false);
    expect(page).toBe(join(folder, "index.html"));
    expect((await readdir(folder)).sort()).toEqual(["index.html", "report.json"]);
    expect(await readFile(page, "utf8")).toContain(source);
    const document = JSON.parse(await readFile(join(folder, "report.json"), "utf8")) as object;
    expect(document).toMatchObject({ format: "atpatch-report/1", evaluation: { clean: { n: 100 } } });
    expect(JSON.stringify(document)).not.toContain("base64");
  });

  it("replaces a report, and fills an empty folder", async () => {
    await writeReport(parent, reportData("first"), false);
    const page = await writeReport(parent, reportData("second"), false);
    expect(await readFile(page, "utf8")).toMatch(/<title>AtPatch report: second</);
  });

  it.each([
    ["other files", async () => writeFile(join(parent, "thesis.txt"), "mine")],
    ["somebody else's page", async () => writeFile(join(parent, "index.html"), "mine")],
    ["another report.json", async () => writeFile(join(parent, "report.json"), `{"format": "x"}`)],
    [
      "a report beside other files",
      async () => {
        await writeReport(parent, reportData("plain"), false);
        await mkdir(join(parent, "more"));
      },
    ],
  ])("leaves a folder with %s alone unless forced", async (_, fill) => {
    await fill();
    const before = (await readdir(parent)).sort();
    await expect(checkReportFolder(parent, false)).rejects.toThrow(
      /are no report: name another folder, or use --force/,
    );
    await expect(writeReport(parent, reportData("plain"), false)).rejects.toThrow(/no report/);
    expect((await readdir(parent)).sort()).toEqual(before);
    await writeReport(parent, reportData("plain"), true);
    expect(await readdir(parent)).toEqual(expect.arrayContaining([...before, "index.html", "report.json"]));
  });

  it("leaves nothing behind when it cannot be written, and follows no link", async () => {
    const secret = join(parent, "secret");
    await writeFile(secret, "kept");
    const folder = join(parent, "report");
    await mkdir(folder);
    await symlink(secret, join(folder, `.report.json.${process.pid}.tmp`));
    await expect(writeReport(folder, reportData("plain"), true)).rejects.toMatchObject({
      code: "ATPATCH_BAD_INPUT",
    });
    expect(await readFile(secret, "utf8")).toBe("kept");
    expect(await readdir(folder)).toEqual([]);
    await expect(writeReport(secret, reportData("plain"), true)).rejects.toMatchObject({
      code: "ATPATCH_BAD_INPUT",
    });
  });
});
