/** Checks a control log as it lies on the disk or came over the network, without a store. */
import { continuesFrom, emptyChain, readChain, type ChainEnd, type ControlEntry } from "./control-log.ts";

/** What a verified log holds. */
export interface VerifiedLog {
  readonly entries: number;
  /** Digest that the next entry has to continue; null for an empty log. Kept elsewhere, it pins the whole history. */
  readonly digest: string | null;
  readonly last: ControlEntry | null;
  /** Whether the log ends in the middle of an entry, as after a crash; a server cuts that off when it starts. */
  readonly unfinished: boolean;
}

/**
 * Follows the chain of digests from the first line to the last.
 * @throws AtPatchError ATPATCH_INTERNAL naming the first entry that does not continue the one before
 */
export function verifyLog(bytes: Uint8Array): VerifiedLog {
  const { end, entries, unfinished } = follow(bytes);
  return { entries: end.length, digest: end.digest, last: entries.at(-1) ?? null, unfinished };
}

/**
 * The entries of a log, the oldest first, after its chain was followed.
 * @throws AtPatchError ATPATCH_INTERNAL
 */
export function logEntries(bytes: Uint8Array): ControlEntry[] {
  return follow(bytes).entries;
}

function follow(bytes: Uint8Array): { end: ChainEnd; entries: ControlEntry[]; unfinished: boolean } {
  const lines = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8").split("\n");
  // What follows the last line end is no entry.
  const rest = lines.pop();
  let end = emptyChain;
  const entries = lines.map((line) => {
    const read = readChain(end, line);
    end = read.end;
    return read.entry;
  });
  return { end, entries, unfinished: rest !== "" };
}

/**
 * The same for entries that a server gave, the oldest first.
 * @throws AtPatchError ATPATCH_INTERNAL
 */
export function verifyEntries(entries: readonly ControlEntry[]): VerifiedLog {
  let end = emptyChain;
  for (const entry of entries) end = continuesFrom(end, entry);
  return { entries: end.length, digest: end.digest, last: entries.at(-1) ?? null, unfinished: false };
}
