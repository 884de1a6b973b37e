/** The control log as a file: JSON Lines, one entry a line, durable with every append. */
import { fstatSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { AtPatchError } from "../shared/errors.ts";
import {
  continueChain,
  decodeEntry,
  emptyChain,
  readChain,
  type ChainEnd,
  type ControlDraft,
  type ControlEntry,
} from "./control-log.ts";
import { Mutex } from "./mutex.ts";
import { pageOf, type HistoryQuery } from "./store.ts";

/** What the log needs of its file, opened as {@link logFlags} say. */
export type LogFile = Pick<FileHandle, "appendFile" | "close" | "fd" | "read" | "stat" | "sync" | "truncate">;

/**
 * Reading and appending, every write durable when it returns: one trip to a thread where writing and flushing would take
 * two. On a busy machine a trip costs milliseconds, and requests wait for the entry of an activation.
 */
export const logFlags = "as+";

const lineEnd = 0x0a;

export class FileLog {
  readonly #file: LogFile;
  readonly #appends = new Mutex();
  /** Byte offset at which each line begins. */
  readonly #offsets: number[];
  #size: number;
  #end: ChainEnd;
  /** Set when the file may hold something that was not acknowledged and could not be removed. */
  #broken = false;

  private constructor(file: LogFile, offsets: number[], size: number, end: ChainEnd) {
    this.#file = file;
    this.#offsets = offsets;
    this.#size = size;
    this.#end = end;
  }

  /**
   * Reads the log and verifies its chain. What follows the last line end was being written when the process died: it was
   * never acknowledged and is cut off. Any other fault is an error.
   * @throws AtPatchError ATPATCH_INTERNAL naming the entry
   */
  static async open(file: LogFile): Promise<FileLog> {
    const { size } = await file.stat();
    const bytes = await readRange(file, 0, size);
    const offsets: number[] = [];
    let end = emptyChain;
    let begin = 0;
    for (let next = bytes.indexOf(lineEnd); next >= 0; next = bytes.indexOf(lineEnd, begin)) {
      end = readChain(end, bytes.toString("utf8", begin, next)).end;
      offsets.push(begin);
      begin = next + 1;
    }
    if (begin < size) {
      await file.truncate(begin);
      await file.sync();
    }
    return new FileLog(file, offsets, begin, end);
  }

  /** @throws AtPatchError ATPATCH_INTERNAL when it could not be written; the log is as before then */
  append(draft: ControlDraft): Promise<ControlEntry> {
    return this.#appends.run(async () => {
      this.#checkUntouched();
      const { entry, line, end } = continueChain(this.#end, draft);
      const bytes = Buffer.from(`${line}\n`);
      try {
        await this.#file.appendFile(bytes);
      } catch (cause) {
        await this.#cutBack();
        throw new AtPatchError("ATPATCH_INTERNAL", "control log: the entry could not be written", { cause });
      }
      this.#offsets.push(this.#size);
      this.#size += bytes.length;
      this.#end = end;
      return entry;
    });
  }

  /** Entries, the newest first. */
  async read(query: HistoryQuery = {}): Promise<ControlEntry[]> {
    const { from, to } = pageOf(query, this.#offsets.length);
    if (from >= to) return [];
    const begin = this.#offsets[from] ?? 0;
    const end = this.#offsets[to] ?? this.#size;
    const lines = (await readRange(this.#file, begin, end - 1)).toString("utf8").split("\n");
    return lines.map((line, index) => decodeEntry(line, from + index)).reverse();
  }

  async close(): Promise<void> {
    await this.#appends.run(() => this.#file.close());
  }

  #checkUntouched(): void {
    // Answered from memory, so there is nothing to wait for.
    const { size } = fstatSync(this.#file.fd);
    if (this.#broken || size !== this.#size) {
      throw new AtPatchError(
        "ATPATCH_INTERNAL",
        "control log: it was changed by somebody else or could not be repaired; nothing is written to it until a restart",
      );
    }
  }

  async #cutBack(): Promise<void> {
    try {
      await this.#file.truncate(this.#size);
      await this.#file.sync();
    } catch {
      this.#broken = true;
    }
  }
}

async function readRange(file: LogFile, begin: number, end: number): Promise<Buffer> {
  const buffer = Buffer.alloc(end - begin);
  let done = 0;
  while (done < buffer.length) {
    const { bytesRead } = await file.read(buffer, done, buffer.length - done, begin + done);
    if (bytesRead === 0) throw new AtPatchError("ATPATCH_INTERNAL", "control log: it is shorter than it was");
    done += bytesRead;
  }
  return buffer;
}
