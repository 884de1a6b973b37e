/**
 * A store on files. Layout below the root, readable by the owner only:
 *   <model>/detectors/sha256-<64 hex>   bundles, named by their content
 *   <model>/control.jsonl               the control log
 * One process at a time may use it.
 */
import { randomUUID } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { mkdir, open, readdir, rename, rm, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AtPatchError } from "../shared/errors.ts";
import { bundleId } from "./bundle.ts";
import type { ControlDraft, ControlEntry } from "./control-log.ts";
import { FileLog, logFlags } from "./file-log.ts";
import {
  isDetectorId,
  unknownDetector,
  type DetectorStore,
  type HistoryQuery,
  type StoredDetector,
} from "./store.ts";

export interface FileStoreOptions {
  /** Directory for all models; made when missing. */
  readonly root: string;
  /** Name of the model: letters, digits, ".", "_" and "-", beginning with a letter or digit. */
  readonly model: string;
}

const temporary = ".tmp-";
const privateFile = 0o600;
const privateDirectory = 0o700;

export class FileStore implements DetectorStore {
  readonly #detectors: string;
  readonly #log: FileLog;

  private constructor(detectors: string, log: FileLog) {
    this.#detectors = detectors;
    this.#log = log;
  }

  /**
   * Opens the store of a model and clears away what a crash left half-written.
   * @throws AtPatchError ATPATCH_BAD_SETTINGS for a wrong model name, ATPATCH_INTERNAL when the log was damaged
   */
  static async open({ root, model }: FileStoreOptions): Promise<FileStore> {
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(model)) {
      throw new AtPatchError(
        "ATPATCH_BAD_SETTINGS",
        "model name: expected up to 128 letters, digits, dots, dashes and underscores, a letter or digit first",
      );
    }
    const folder = join(root, model);
    const detectors = join(folder, "detectors");
    await mkdir(detectors, { recursive: true, mode: privateDirectory });
    for (const name of await readdir(detectors)) {
      if (name.startsWith(temporary)) await rm(join(detectors, name), { force: true });
    }
    const file = await open(join(folder, "control.jsonl"), logFlags, privateFile);
    try {
      for (const directory of [detectors, folder, root, dirname(root)]) await syncDirectory(directory);
      return new FileStore(detectors, await FileLog.open(file));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async put(bytes: Uint8Array): Promise<{ id: string; created: boolean }> {
    const id = bundleId(bytes);
    const stored = this.#read(id);
    if (stored && bundleId(stored) === id) return { id, created: false };
    const partial = join(this.#detectors, `${temporary}${randomUUID()}`);
    try {
      await writeDurably(partial, bytes);
      await rename(partial, join(this.#detectors, id));
      await syncDirectory(this.#detectors);
    } catch (cause) {
      await rm(partial, { force: true });
      throw new AtPatchError("ATPATCH_INTERNAL", "the detector could not be stored", { cause });
    }
    return { id, created: stored === null };
  }

  async get(id: string): Promise<Uint8Array> {
    const bytes = isDetectorId(id) ? this.#read(id) : null;
    if (!bytes) throw unknownDetector(id);
    if (bundleId(bytes) !== id) {
      throw new AtPatchError(
        "ATPATCH_INTERNAL",
        `detector ${id}: the stored file was damaged; upload it again`,
      );
    }
    return bytes;
  }

  async find(id: string): Promise<StoredDetector> {
    const found = isDetectorId(id) ? this.#stat(id) : null;
    if (!found) throw unknownDetector(id);
    return described(found);
  }

  async list(): Promise<StoredDetector[]> {
    const names = (await readdir(this.#detectors)).filter(isDetectorId);
    return names
      .map((id) => this.#stat(id))
      .filter((detector) => detector !== null)
      .sort((a, b) => a.written - b.written || (a.id < b.id ? -1 : 1))
      .map(described);
  }

  async delete(id: string): Promise<void> {
    await this.find(id);
    await unlink(join(this.#detectors, id));
    await syncDirectory(this.#detectors);
  }

  append(draft: ControlDraft): Promise<ControlEntry> {
    return this.#log.append(draft);
  }

  read(query: HistoryQuery = {}): Promise<ControlEntry[]> {
    return this.#log.read(query);
  }

  async last(): Promise<ControlEntry | null> {
    return (await this.#log.read({ limit: 1 }))[0] ?? null;
  }

  close(): Promise<void> {
    return this.#log.close();
  }

  /**
   * In one go: whoever reads a bundle hashes it next, which takes longer, and at load each of the four trips to a thread
   * that a reading makes otherwise costs an activation milliseconds.
   */
  #read(id: string): Uint8Array | null {
    try {
      return readFileSync(join(this.#detectors, id));
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
      throw error;
    }
  }

  /** Answered from memory most times, so there is next to nothing to wait for. */
  #stat(id: string): FileFacts | null {
    const found = statSync(join(this.#detectors, id), { throwIfNoEntry: false });
    return found ? { id, size: found.size, written: found.mtimeMs } : null;
  }
}

/** A stored file; `written` in ms since the epoch. */
interface FileFacts {
  readonly id: string;
  readonly size: number;
  readonly written: number;
}

const described = ({ id, size, written }: FileFacts): StoredDetector => ({
  id,
  size,
  uploadedAt: new Date(written).toISOString(),
});

async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, "wx", privateFile);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes renames and removals in a directory durable; Windows does not offer that and does not need it. */
async function syncDirectory(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
