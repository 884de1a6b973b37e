/** Reads model files from disk: small ones whole, large ones without their weights. */
import { readSync } from "node:fs";
import { open } from "node:fs/promises";
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
    const sparse = size >= sparseFrom ? readWithoutWeights(handle.fd, size, name) : null;
    if (sparse) return sparse;
    if (size > largestMessage) {
      throw new AtPatchError(
        "ATPATCH_BAD_MODEL",
        `${name}: has ${size} bytes, an ONNX file has at most ${largestMessage}`,
      );
    }
    return { bytes: readAt(handle.fd, 0, size), name };
  } finally {
    await handle.close();
  }
}

/** The model without its weights; null when only the validator can say what is wrong with the file. */
function readWithoutWeights(file: number, size: number, name: string): ModelFile | null {
  const sparse = readSparse(fileSource(file, size), name);
  if (!sparse) return null;
  // Past the windows: the samples lie far apart.
  const weightSample = sparse.left.flatMap(({ offset, length }) =>
    sampleBytes(length, (at, count) => readAt(file, offset + at, count)),
  );
  return { bytes: sparse.bytes, name, weightSample };
}

/** Synchronous, since the walk over the records is; fewer bytes only where the file ends before. */
function readAt(file: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  while (at < length) {
    const count = readSync(file, bytes, at, Math.min(length - at, 1 << 30), offset + at);
    if (count === 0) return bytes.subarray(0, at);
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
