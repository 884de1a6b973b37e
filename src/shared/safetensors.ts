/**
 * The safetensors format: u64 header length, JSON header {name: {dtype, shape, data_offsets}}, data; all little-endian.
 * Format: https://github.com/huggingface/safetensors (README, "Format"). Read strictly: what the format leaves open
 * (duplicate names, holes, trailing bytes) is refused.
 */
import { AtPatchError } from "./errors.ts";
import { hasDuplicateKeys } from "./json-keys.ts";
import { byteSize, datatypes, elementCount, type NumericDatatype, type Tensor } from "./tensor.ts";

export interface Safetensors {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Most bytes a header may have: 1 MiB. */
export const maxHeaderBytes = 1 << 20;

const dtypes: Readonly<Record<string, NumericDatatype>> = {
  BOOL: "BOOL",
  U8: "UINT8",
  U16: "UINT16",
  U32: "UINT32",
  U64: "UINT64",
  I8: "INT8",
  I16: "INT16",
  I32: "INT32",
  I64: "INT64",
  F16: "FP16",
  BF16: "BF16",
  F32: "FP32",
  F64: "FP64",
};
const dtypeNames = Object.fromEntries(Object.entries(dtypes).map(([name, datatype]) => [datatype, name]));

/**
 * Reads a file. Every tensor gets memory of its own; F16 and BF16 stay bit patterns.
 * @throws AtPatchError ATPATCH_BAD_INPUT naming the tensor and what was expected
 */
export function readSafetensors(bytes: Uint8Array): Safetensors {
  if (bytes.length < 8) throw bad(`expected a header length in the first 8 bytes, got ${bytes.length} bytes`);
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (length > BigInt(maxHeaderBytes))
    throw bad(`the header may have ${maxHeaderBytes} bytes, got ${length}`);
  const headerEnd = 8 + Number(length);
  if (headerEnd > bytes.length) {
    throw bad(
      `the header ends at byte ${headerEnd}, but there are ${bytes.length} bytes: is the file cut off?`,
    );
  }
  const { __metadata__: metadata = {}, ...described } = parseHeader(bytes.subarray(8, headerEnd));
  const entries = Object.entries(described).map(([name, value]) => readEntry(name, value));
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  const data = bytes.subarray(headerEnd);
  let end = 0;
  for (const entry of entries) {
    if (entry.begin !== end) {
      throw bad(`tensor "${entry.name}": expected its data to begin at ${end}, got ${entry.begin}`);
    }
    end = entry.end;
  }
  if (end !== data.length)
    throw bad(`the tensors take ${end} bytes, but there are ${data.length} bytes of data`);
  return {
    tensors: new Map(entries.map((entry) => [entry.name, readTensor(entry, data)])),
    metadata: readMetadata(metadata),
  };
}

/**
 * Writes a file: the same tensors and metadata always give the same bytes. Data begins at a multiple of 8 bytes and is
 * ordered by element size, the largest first, then by name, so that every tensor is aligned.
 * @throws AtPatchError ATPATCH_BAD_INPUT when a name is reserved, a shape and its data disagree or the header is too large
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const ordered = [...tensors].sort(
    ([nameA, a], [nameB, b]) => byteSize(b.datatype) - byteSize(a.datatype) || compare(nameA, nameB),
  );
  const fields: string[] = [];
  const keys = Object.keys(metadata).sort(compare);
  if (keys.length > 0) {
    const pairs = keys.map((key) => `${JSON.stringify(key)}:${JSON.stringify(metadata[key])}`);
    fields.push(`"__metadata__":{${pairs.join(",")}}`);
  }
  let end = 0;
  for (const [name, { datatype, shape, data }] of ordered) {
    if (name === "__metadata__") throw bad(`"${name}" is no name for a tensor`);
    if (data.length !== elementCount(shape)) {
      throw bad(
        `tensor "${name}": shape [${shape.join(", ")}] needs ${elementCount(shape)} elements, got ${data.length}`,
      );
    }
    const begin = end;
    end += data.byteLength;
    const entry = { dtype: dtypeNames[datatype], shape, data_offsets: [begin, end] };
    fields.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
  }
  const unpadded = new TextEncoder().encode(`{${fields.join(",")}}`);
  const headerLength = Math.ceil(unpadded.length / 8) * 8;
  if (headerLength > maxHeaderBytes)
    throw bad(`the header may have ${maxHeaderBytes} bytes, got ${headerLength}`);
  const bytes = new Uint8Array(8 + headerLength + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerLength), true);
  bytes.fill(0x20, 8, 8 + headerLength).set(unpadded, 8);
  let position = 8 + headerLength;
  for (const [, { data }] of ordered) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), position);
    position += data.byteLength;
  }
  return bytes;
}

interface Entry {
  readonly name: string;
  readonly datatype: NumericDatatype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function parseHeader(bytes: Uint8Array): Record<string, unknown> {
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    header = JSON.parse(text);
  } catch (cause) {
    throw bad("the header is no JSON in UTF-8", cause);
  }
  if (!text.startsWith("{") || !isObject(header)) throw bad('the header must begin with "{"');
  if (hasDuplicateKeys(text)) throw bad("the header has the same name twice");
  return header;
}

function readEntry(name: string, value: unknown): Entry {
  const where = `tensor "${name}"`;
  const { dtype, shape, data_offsets: offsets, ...rest } = isObject(value) ? value : {};
  const unknownField = Object.keys(rest)[0];
  if (unknownField !== undefined) throw bad(`${where}: there is no field "${unknownField}"`);
  const datatype = typeof dtype === "string" && Object.hasOwn(dtypes, dtype) ? dtypes[dtype] : undefined;
  if (!datatype) throw bad(`${where}: expected a dtype out of ${Object.keys(dtypes).join(", ")}`);
  if (!isSizes(shape)) throw bad(`${where}: expected a shape of sizes from 0`);
  const [begin, end] = isSizes(offsets) && offsets.length === 2 ? offsets : [];
  if (begin === undefined || end === undefined) throw bad(`${where}: expected data_offsets [begin, end]`);
  const needed = elementCount(shape) * byteSize(datatype);
  if (!Number.isSafeInteger(needed) || end - begin !== needed) {
    throw bad(
      `${where}: ${String(dtype)} [${shape.join(", ")}] needs ${needed} bytes, data_offsets give ${end - begin}`,
    );
  }
  return { name, datatype, shape, begin, end };
}

function readTensor({ name, datatype, shape, begin, end }: Entry, data: Uint8Array): Tensor {
  // A copy: aligned for the typed array, and it does not keep the whole file alive.
  const own = new Uint8Array(data.subarray(begin, end));
  if (datatype === "BOOL" && own.some((byte) => byte > 1))
    throw bad(`tensor "${name}": expected bytes 0 and 1`);
  return { datatype, shape, data: new datatypes[datatype](own.buffer) };
}

function readMetadata(value: unknown): Record<string, string> {
  if (!isObject(value) || !Object.values(value).every((text) => typeof text === "string")) {
    throw bad("__metadata__: expected an object of strings");
  }
  return value as Record<string, string>;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** By code units, so that the order does not depend on the machine's language. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function bad(message: string, cause?: unknown): AtPatchError {
  return new AtPatchError("ATPATCH_BAD_INPUT", `safetensors: ${message}`, { cause });
}
