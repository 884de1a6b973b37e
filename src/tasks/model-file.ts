/** Reads model files from disk: small ones whole, large ones without their weights. */
import { open, type FileHandle } from "node:fs/promises";
import { closeSync, openSync, readSync } from "node:fs";
import { basename } from "node:path";
import { readSparse, type ByteSource } from "../onnx/sparse-read.ts";
import { AtPatchError } from "../shared/errors.ts";
import { sampleBytes, type ModelFile } from "../shared/model-file.ts";

/** Files from this size on are read without their weights. */
const sparseFrom = 4 << 20;
/** A protobuf message, and with it a file that has to be read whole, has at most this many bytes. */
const largestMessage = 2 ** 31 - 1;
/** Records are looked at through windows of this size. */
const windowSize = 1 << 16;

/**
 * @throws AtPatchError ATPATCH_BAD_MODEL when the file is too large for a protobuf message
 */
export async function readModelFile(path: string): Promise<ModelFile> {
  const name = basename(path);
  const handle = await open(path, "r");
  try {
    const { size } = await handle.stat();
    if (size >= sparseFrom) {
      const file = readSparseFile(path, size, name);
      if (file) return file;
    }
    if (size > largestMessage) {
      throw new AtPatchError(
        "ATPATCH_BAD_MODEL",
        `${name}: has ${size} bytes, an ONNX file has at most ${largestMessage}`,
      );
    }
    return { bytes: await readWhole(handle, size), name };
  } finally {
    await handle.close();
  }
}

async function readWhole(handle: FileHandle, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size;) {
    const { bytesRead } = await handle.read(bytes, at, Math.min(size - at, 1 << 30), at);
    if (bytesRead === 0) return bytes.subarray(0, at);
    at += bytesRead;
  }
  return bytes;
}

/** Synchronous, since the walk over the records is: a few windows of the file, whatever its size. */
function readSparseFile(path: string, size: number, name: string): ModelFile | null {
  const file = openSync(path, "r");
  try {
    const source = fileSource(file, size);
    const sparse = readSparse(source, name);
    if (!sparse) return null;
    // Past the windows: the samples lie far apart.
    const weightSample = sparse.left.flatMap(({ offset, length }) =>
      sampleBytes(length, (at, count) => readAt(file, offset + at, count)),
    );
    return { bytes: sparse.bytes, name, weightSample };
  } finally {
    closeSync(file);
  }
}

function readAt(file: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  while (at < length) {
    const count = readSync(file, bytes, at, length - at, offset + at);
    if (count === 0) break;
    at += count;
  }
  return bytes;
}

function fileSource(file: number, size: number): ByteSource {
  let window: { start: number; bytes: Uint8Array } = { start: 0, bytes: new Uint8Array() };
  return {
    size,
    read(offset, length) {
      if (length > windowSize / 4) return readAt(file, offset, length);
      const inside = offset >= window.start && offset + length <= window.start + window.bytes.length;
      if (!inside)
        window = { start: offset, bytes: readAt(file, offset, Math.min(windowSize, size - offset)) };
      return window.bytes.subarray(offset - window.start, offset - window.start + length);
    },
  };
}
