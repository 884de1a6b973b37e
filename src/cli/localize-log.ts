/**
 * What `localize` has found so far, beside the file it will write: a run that was stopped goes on where it was. The first
 * line says what the run works on; every other line is one sample.
 */
import { open, readFile, rm, type FileHandle } from "node:fs/promises";
import { AtPatchError } from "../shared/errors.ts";
import type { LocatedSample } from "../training/localize-set.ts";

/** What must be the same for a run to go on. */
export interface LocalizeInputs {
  /** Fingerprint of the model and digest of the debug set. */
  readonly model: string;
  readonly debug_set: string;
  readonly tool: string;
}

export class LocalizeLog {
  readonly #path: string;
  readonly #file: FileHandle;
  /** Samples that an earlier run has found, by id. */
  readonly known: ReadonlyMap<string, LocatedSample>;

  private constructor(path: string, file: FileHandle, known: ReadonlyMap<string, LocatedSample>) {
    this.#path = path;
    this.#file = file;
    this.known = known;
  }

  /**
   * Opens the log beside `out`, or begins one.
   * @throws AtPatchError ATPATCH_BAD_INPUT when it belongs to other inputs, or cannot be written
   */
  static async open(out: string, inputs: LocalizeInputs): Promise<LocalizeLog> {
    const path = `${out}.partial`;
    const header = JSON.stringify(inputs);
    const text = await readFile(path, "utf8").catch(() => null);
    // The last line of a run that was killed may be cut off.
    const lines =
      text
        ?.slice(0, text.lastIndexOf("\n") + 1)
        .split("\n")
        .slice(0, -1) ?? [];
    if (lines.length > 0 && lines[0] !== header) {
      throw new AtPatchError(
        "ATPATCH_BAD_INPUT",
        `"${path}" is from a run on another model, debug set or version of this tool: remove it to begin anew`,
      );
    }
    const known = new Map(
      lines
        .slice(1)
        .map((line) => readLine(line, path))
        .map((sample) => [sample.id, sample]),
    );
    try {
      // Whole lines stay where they are: a run that is killed now loses none.
      const file = await open(path, "a");
      await file.truncate(lines.reduce((bytes, line) => bytes + Buffer.byteLength(line) + 1, 0));
      if (lines.length === 0) await file.writeFile(`${header}\n`);
      return new LocalizeLog(path, file, known);
    } catch (cause) {
      throw new AtPatchError("ATPATCH_BAD_INPUT", `"${path}" cannot be written`, { cause });
    }
  }

  async add(samples: readonly LocatedSample[]): Promise<void> {
    await this.#file.writeFile(samples.map((sample) => `${JSON.stringify(sample)}\n`).join(""));
    await this.#file.sync();
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  /** The run has ended and its file is written. */
  async remove(): Promise<void> {
    await rm(this.#path, { force: true });
  }
}

/** @throws AtPatchError ATPATCH_BAD_INPUT for a line that this tool has not written */
function readLine(line: string, path: string): LocatedSample {
  try {
    const sample = JSON.parse(line) as Partial<LocatedSample> | null;
    if (typeof sample?.id === "string" && Array.isArray(sample.columns)) return sample as LocatedSample;
  } catch {
    // Said below.
  }
  throw new AtPatchError("ATPATCH_BAD_INPUT", `"${path}" is damaged: remove it to begin anew`);
}
