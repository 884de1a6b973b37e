/** Reading inside one folder: nothing outside it is ever opened, nothing over its limit is read. */
import { open, readdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { AtPatchError } from "../shared/errors.ts";

/** A file that exists inside the folder. */
export interface FolderFile {
  /** Name relative to the folder, with `/`: the only form that messages show. */
  readonly relative: string;
  /** Where it really is, links resolved; for opening only. */
  readonly absolute: string;
  readonly bytes: number;
}

export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether a parsed JSON value is an object (not an array, not null). */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Name of a version directory. */
export const versionName = /^[1-9]\d{0,8}$/;

const isMissing = (error: unknown): boolean =>
  error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");

/** Read access to one folder. Every error is ATPATCH_BAD_MODEL and names the file relative to the folder. */
export class FolderFiles {
  /** Real path of the folder. */
  readonly root: string;

  private constructor(root: string) {
    this.root = root;
  }

  /** @throws AtPatchError ATPATCH_BAD_MODEL when the folder does not exist or is no folder */
  static async open(path: string): Promise<FolderFiles> {
    try {
      const root = await realpath(path);
      if ((await stat(root)).isDirectory()) return new FolderFiles(root);
    } catch (error) {
      if (!isMissing(error)) throw unreadable("the model folder", error);
    }
    throw new AtPatchError("ATPATCH_BAD_MODEL", "the model folder does not exist or is not a folder");
  }

  /**
   * The file of that relative name, or null when there is none.
   * @throws AtPatchError ATPATCH_BAD_MODEL when it is a link out of the folder, or not a regular file
   */
  async find(relative: string): Promise<FolderFile | null> {
    try {
      const absolute = await realpath(join(this.root, relative));
      if (!absolute.startsWith(this.root.endsWith(sep) ? this.root : this.root + sep)) {
        throw new AtPatchError("ATPATCH_BAD_MODEL", `${relative}: leads out of the model's folder`);
      }
      const info = await stat(absolute);
      if (!info.isFile()) throw new AtPatchError("ATPATCH_BAD_MODEL", `${relative}: is not a regular file`);
      return { relative, absolute, bytes: info.size };
    } catch (error) {
      if (isMissing(error)) return null;
      throw error instanceof AtPatchError ? error : unreadable(relative, error);
    }
  }

  /** The first of the names that exists. */
  async findFirst(names: readonly string[]): Promise<FolderFile | null> {
    for (const name of names) {
      const found = await this.find(name);
      if (found) return found;
    }
    return null;
  }

  /** Sorted names inside a sub-folder ("" is the folder itself); none when it does not exist. */
  async list(relative: string): Promise<string[]> {
    try {
      return (await readdir(join(this.root, relative))).sort();
    } catch (error) {
      if (isMissing(error)) return [];
      throw unreadable(relative, error);
    }
  }

  /** Content of a file. @throws AtPatchError ATPATCH_BAD_MODEL when it has more than `limit` bytes */
  async read(file: FolderFile, limit: number): Promise<Uint8Array> {
    try {
      const handle = await open(file.absolute, "r");
      try {
        const { size } = await handle.stat();
        if (size > limit) {
          throw new AtPatchError(
            "ATPATCH_BAD_MODEL",
            `${file.relative}: has ${size} bytes, at most ${limit} are read`,
          );
        }
        return await handle.readFile();
      } finally {
        await handle.close();
      }
    } catch (error) {
      throw error instanceof AtPatchError ? error : unreadable(file.relative, error);
    }
  }

  /** A JSON file that holds an object. @throws AtPatchError ATPATCH_BAD_MODEL when it does not */
  async json(file: FolderFile, limit: number): Promise<JsonObject> {
    const text = new TextDecoder().decode(await this.read(file, limit));
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw new AtPatchError(
        "ATPATCH_BAD_MODEL",
        `${file.relative}: is not valid JSON${placeOf(error, text)}`,
      );
    }
    if (!isJsonObject(value)) {
      throw new AtPatchError("ATPATCH_BAD_MODEL", `${file.relative}: expected a JSON object`);
    }
    return value;
  }
}

/** The model folder an `.onnx` file belongs to: its own, or the one above its `onnx/` or version directory. */
export function folderOfModelFile(path: string): string {
  let folder = dirname(path);
  if (basename(folder) === "onnx") folder = dirname(folder);
  return versionName.test(basename(folder)) ? dirname(folder) : folder;
}

function unreadable(what: string, error: unknown): AtPatchError {
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown reason";
  return new AtPatchError("ATPATCH_BAD_MODEL", `${what}: cannot be read (${code})`, { cause: error });
}

/** " (line 3, column 7)" when the engine's message tells a position: the text itself stays out of messages. */
function placeOf(error: unknown, text: string): string {
  const found = error instanceof Error ? /at position (\d+)/.exec(error.message) : null;
  if (!found) return text.trim() === "" ? " (it is empty)" : " (it ends too early)";
  const before = text.slice(0, Number(found[1])).split("\n");
  return ` (line ${before.length}, column ${(before.at(-1) ?? "").length + 1})`;
}
