/**
 * Tensors as the raw bytes of the Open Inference Protocol: little-endian, row-major, without padding; BOOL one byte 0 or
 * 1, BYTES a 32-bit length before each element. Used by the binary extension over HTTP and by gRPC.
 */
import { AtPatchError } from "./errors.ts";
import { datatypes, elementCount, type AnyTensor, type BytesTensor, type Datatype } from "./tensor.ts";

/** Most elements a shape may announce; larger tensors could not come in a body anyway. */
const mostElements = 2 ** 31 - 1;
const mostDimensions = 16;

function bad(message: string): AtPatchError {
  return new AtPatchError("ATPATCH_BAD_INPUT", message);
}

/**
 * The datatype of that name.
 * @param field what to call the tensor in errors, e.g. `inputs[0]`
 * @throws AtPatchError ATPATCH_BAD_INPUT
 */
export function knownDatatype(field: string, name: string): Datatype {
  if (name === "BYTES" || Object.hasOwn(datatypes, name)) return name as Datatype;
  const known = [...Object.keys(datatypes), "BYTES"].join(", ");
  throw bad(`${field}.datatype: "${name.slice(0, 20)}" is not one of ${known}`);
}

/**
 * Number of elements of a shape that came from outside.
 * @throws AtPatchError ATPATCH_BAD_INPUT for negative, fractional, too many or too large dimensions
 */
export function checkedCount(field: string, shape: readonly number[]): number {
  if (shape.length > mostDimensions) {
    throw bad(`${field}.shape: expected at most ${mostDimensions} dimensions, got ${shape.length}`);
  }
  for (const [axis, dim] of shape.entries()) {
    if (!Number.isSafeInteger(dim) || dim < 0) {
      throw bad(`${field}.shape[${axis}]: expected a whole number from 0, got ${dim}`);
    }
  }
  const count = elementCount(shape);
  if (count > mostElements) throw bad(`${field}.shape: [${shape.join(", ")}] is too large`);
  return count;
}

/**
 * Reads a tensor from exactly `bytes`; a view on them where they lie on a multiple of the element size, else a copy.
 * @throws AtPatchError ATPATCH_BAD_INPUT naming the field
 */
export function readRaw(
  field: string,
  datatype: Datatype,
  shape: readonly number[],
  bytes: Uint8Array,
): AnyTensor {
  const count = checkedCount(field, shape);
  if (datatype === "BYTES") {
    checkStrings(field, count, bytes);
    return { datatype, shape, data: bytes };
  }
  const of = datatypes[datatype];
  const size = count * of.BYTES_PER_ELEMENT;
  if (bytes.byteLength !== size) {
    throw bad(
      `${field}: ${datatype} of shape [${shape.join(", ")}] needs ${size} bytes, got ${bytes.byteLength}`,
    );
  }
  // A Buffer's own `slice` would not copy.
  const aligned = bytes.byteOffset % of.BYTES_PER_ELEMENT === 0 ? bytes : new Uint8Array(bytes);
  const data = new of(aligned.buffer as ArrayBuffer, aligned.byteOffset, count);
  if (datatype === "BOOL") checkBools(field, data as Uint8Array);
  return { datatype, shape, data };
}

function checkBools(field: string, data: Uint8Array): void {
  const at = data.findIndex((byte) => byte > 1);
  if (at >= 0) throw bad(`${field}: BOOL takes bytes 0 and 1, got ${data[at]} at position ${at}`);
}

/** Checks the lengths without making anything of the elements: there may be millions of empty ones in a body. */
function checkStrings(field: string, count: number, bytes: Uint8Array): void {
  let found = 0;
  let end = 0;
  for (const { start, length } of stringsIn(bytes)) {
    end = start + length;
    if (end > bytes.byteLength) {
      const left = bytes.byteLength - start;
      throw bad(`${field}: element ${found} of BYTES is said to have ${length} bytes, ${left} are left`);
    }
    found += 1;
    if (found > count) break;
  }
  if (found !== count || end !== bytes.byteLength) {
    const rest =
      found === count ? `${bytes.byteLength - end} bytes after them` : `${found > count ? "more" : found}`;
    throw bad(`${field}: the shape needs ${count} elements of BYTES, got ${rest}`);
  }
}

/** Where the elements of raw BYTES lie; ends at a rest that is too short for a length. Lengths are not checked. */
function* stringsIn(bytes: Uint8Array): Generator<{ start: number; length: number }> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let start = 4; start <= bytes.byteLength;) {
    const length = view.getUint32(start - 4, true);
    yield { start, length };
    start += length + 4;
  }
}

/** A tensor of the elements given. */
export function bytesTensor(shape: readonly number[], elements: readonly Uint8Array[]): BytesTensor {
  const data = Buffer.allocUnsafe(elements.reduce((sum, { length }) => sum + 4 + length, 0));
  let at = 0;
  for (const element of elements) {
    at = data.writeUInt32LE(element.length, at);
    data.set(element, at);
    at += element.length;
  }
  return { datatype: "BYTES", shape, data };
}

/** The elements of a tensor of BYTES, as views. */
export function bytesElements({ data }: BytesTensor): Uint8Array[] {
  return Array.from(stringsIn(data), ({ start, length }) => data.subarray(start, start + length));
}

/** The raw bytes of a tensor: a view on its memory. */
export function writeRaw({ data }: AnyTensor): Uint8Array {
  return new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
}
