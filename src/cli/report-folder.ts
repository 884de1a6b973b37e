/** The folder of a report: `index.html` and `report.json`, whole or not at all, and nothing else's place. */
import { lstat, mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { ReportData } from "../report/data.ts";
import { reportPage } from "../report/page.ts";
import { AtPatchError } from "../shared/errors.ts";
import { reasonOf } from "./files.ts";

/** First field of every report.json. */
const format = "atpatch-report/1";

const [pageName, dataName] = ["index.html", "report.json"] as const;

/**
 * Before any work: whether a report may be written there.
 * @param force over whatever lies there
 * @throws AtPatchError ATPATCH_BAD_INPUT for a folder that holds something else
 */
export async function checkReportFolder(folder: string, force: boolean): Promise<void> {
  const found = await lstat(folder).catch(() => null);
  if (found === null) return;
  const names = await readdir(folder).catch((error: unknown) => {
    throw cannotWrite(folder, error);
  });
  if (force || names.length === 0 || (await isReport(folder, names))) return;
  throw new AtPatchError(
    "ATPATCH_BAD_INPUT",
    `--report: "${folder}" holds files that are no report: name another folder, or use --force`,
  );
}

async function isReport(folder: string, names: readonly string[]): Promise<boolean> {
  if (names.some((name) => name !== pageName && name !== dataName)) return false;
  try {
    const document: unknown = JSON.parse(await readFile(join(folder, dataName), "utf8"));
    return (document as { format?: unknown } | null)?.format === format;
  } catch {
    return false;
  }
}

/**
 * Writes both files under other names first. The page comes last and an old one goes first, so that a page never stands
 * beside the figures of another report.
 * @returns the page's path
 * @throws AtPatchError ATPATCH_BAD_INPUT when it cannot be written
 */
export async function writeReport(folder: string, data: ReportData, force: boolean): Promise<string> {
  await checkReportFolder(folder, force);
  const page = join(folder, pageName);
  const temporary = (name: string): string => join(folder, `.${name}.${process.pid}.tmp`);
  const made = await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw cannotWrite(folder, error);
  });
  try {
    await writeNew(temporary(pageName), reportPage(data));
    await writeNew(temporary(dataName), `${JSON.stringify({ format, ...data }, withoutPictures, 2)}\n`);
    await rm(page, { force: true });
    await rename(temporary(dataName), join(folder, dataName));
    await rename(temporary(pageName), page);
  } catch (error) {
    for (const name of [pageName, dataName]) await rm(temporary(name), { force: true });
    if (made !== undefined) await rm(made, { recursive: true, force: true });
    throw cannotWrite(folder, error);
  }
  return page;
}

/** @throws when the file is there already, so that no link is followed */
async function writeNew(path: string, text: string): Promise<void> {
  const handle = await open(path, "wx");
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function withoutPictures(_key: string, value: unknown): unknown {
  return typeof value === "string" && value.startsWith("data:image/png;base64,") ? null : value;
}

function cannotWrite(folder: string, error: unknown): AtPatchError {
  return new AtPatchError(
    "ATPATCH_BAD_INPUT",
    `--report: "${folder}" cannot be written: ${reasonOf(error)}`,
    {
      cause: error,
    },
  );
}
