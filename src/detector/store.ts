/** Where the detectors of ONE model and the log of what was done with them are kept. */
import { AtPatchError } from "../shared/errors.ts";
import type { ControlDraft, ControlEntry } from "./control-log.ts";

/** A stored bundle. */
export interface StoredDetector {
  readonly id: string;
  /** Bytes of the bundle. */
  readonly size: number;
  /** ISO 8601, UTC. */
  readonly uploadedAt: string;
}

/** Which part of the log to read. */
export interface HistoryQuery {
  /** Most entries to return; 100 when absent. */
  readonly limit?: number;
  /** Only entries with a smaller `sequence`. */
  readonly before?: number;
}

/**
 * Bundles by content, and an append-only log. What a method acknowledged survives a crash of the process.
 * The log alone says what is active; the store draws no conclusion from it.
 */
export interface DetectorStore {
  /** Stores a bundle under the digest of its bytes; `created` is false when it was there already. */
  put(bytes: Uint8Array): Promise<{ id: string; created: boolean }>;
  /**
   * The bytes of a bundle, verified against its id.
   * @throws AtPatchError ATPATCH_UNKNOWN_DETECTOR; ATPATCH_INTERNAL when the stored bytes were damaged
   */
  get(id: string): Promise<Uint8Array>;
  /** What is known of a bundle without reading it. @throws AtPatchError ATPATCH_UNKNOWN_DETECTOR */
  find(id: string): Promise<StoredDetector>;
  /** All bundles, the oldest first. */
  list(): Promise<StoredDetector[]>;
  /** @throws AtPatchError ATPATCH_UNKNOWN_DETECTOR */
  delete(id: string): Promise<void>;
  /** Adds an entry to the log; it is durable once this resolves. When it rejects the log is as before. */
  append(draft: ControlDraft): Promise<ControlEntry>;
  /** Entries, the newest first. */
  read(query?: HistoryQuery): Promise<ControlEntry[]>;
  /** The newest entry, or null when the log is empty. */
  last(): Promise<ControlEntry | null>;
  close(): Promise<void>;
}

/** Whether the text has the form of a detector id: "sha256-" and 64 lower-case hex digits. */
export function isDetectorId(text: string): boolean {
  return /^sha256-[0-9a-f]{64}$/.test(text);
}

/** The error for an id that is not stored; the id is repeated only when it has the right form. */
export function unknownDetector(id: string): AtPatchError {
  return new AtPatchError(
    "ATPATCH_UNKNOWN_DETECTOR",
    isDetectorId(id)
      ? `detector ${id} is not stored`
      : 'detector: expected an id, "sha256-" and 64 hex digits',
  );
}

/** Sequence numbers that a query covers: `from` up to, not including, `to`. */
export function pageOf(
  { limit = 100, before = Infinity }: HistoryQuery,
  length: number,
): { from: number; to: number } {
  const to = Math.max(0, Math.min(before, length));
  return { from: Math.max(0, to - limit), to };
}
