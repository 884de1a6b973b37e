/** Files that a person names on the command line. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { maxBundleBytes, parseBundle, type Bundle } from "../detector/bundle.ts";
import { AtPatchError, messageOf } from "../shared/errors.ts";
import { readDebugSet, type DebugSample } from "../training/debug-set.ts";

export interface DebugFile {
  readonly samples: DebugSample[];
  /** "sha256-…" of the file as it lies there. */
  readonly digest: string;
}

/**
 * Reads a debug or test set.
 * @param labels number of the model's classes, 0 when it is not known
 * @throws AtPatchError ATPATCH_NOT_FOUND, ATPATCH_BAD_DEBUG_SET
 */
export async function readDebugFile(path: string, labels: number): Promise<DebugFile> {
  const hash = createHash("sha256");
  async function* content(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of createReadStream(path)) {
        hash.update(chunk as Buffer);
        yield chunk as Buffer;
      }
    } catch (error) {
      throw unreadable(path, error);
    }
  }
  const samples = await readDebugSet(content(), labels > 0 ? { labels } : {});
  return { samples, digest: `sha256-${hash.digest("hex")}` };
}

/** @throws AtPatchError ATPATCH_NOT_FOUND */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** @throws AtPatchError ATPATCH_NOT_FOUND, ATPATCH_BAD_BUNDLE */
export async function readBundle(path: string): Promise<Bundle & { readonly bytes: Uint8Array }> {
  const bytes = await readBytes(path);
  if (bytes.length > maxBundleBytes) {
    throw new AtPatchError("ATPATCH_BAD_BUNDLE", `"${path}" is too large for a detector bundle`);
  }
  return { ...parseBundle(bytes), bytes };
}

/**
 * Writes a file whole or not at all: under another name first, then renamed.
 * @throws AtPatchError ATPATCH_BAD_INPUT when it cannot be written
 */
export async function writeWhole(path: string, content: Iterable<Uint8Array | string>): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  try {
    const handle = await open(temporary, "w");
    try {
      for (const part of content) await handle.writeFile(part);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw new AtPatchError("ATPATCH_BAD_INPUT", `"${path}" cannot be written: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

function unreadable(path: string, error: unknown): AtPatchError {
  return new AtPatchError("ATPATCH_NOT_FOUND", `"${path}" cannot be read: ${reasonOf(error)}`, {
    cause: error,
  });
}

/** Why a file could not be read or written, in words. */
export function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return "there is no such file or folder";
  if (code === "EACCES" || code === "EPERM") return "permission denied";
  if (code === "EISDIR") return "it is a folder";
  return messageOf(error);
}
