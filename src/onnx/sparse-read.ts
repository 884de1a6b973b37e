/**
 * Reads a model file without its weights: the records of the file are walked, large inline constants are skipped and
 * stand in the result as external references into the file. The result decodes to what `decodeSkeleton` makes of the
 * whole file. Wire format: https://protobuf.dev/programming-guides/encoding/.
 */
import { inlineLimit } from "./skeleton.ts";

/** Random access to a file. */
export interface ByteSource {
  readonly size: number;
  /** `length` bytes from `offset`; the caller stays within `size`. */
  read(offset: number, length: number): Uint8Array;
}

export interface SparseModel {
  /** A ModelProto whose large constants refer to `fileName`. */
  readonly bytes: Uint8Array;
  /** Offset and length of every constant that was left out, in file order. */
  readonly left: readonly { readonly offset: number; readonly length: number }[];
}

const [graphField, initializerField] = [7, 5];
const [rawDataField, externalDataField, dataLocationField] = [9, 13, 14];

/** @returns null when the records make no sense: then the whole file is for the validator to judge */
export function readSparse(source: ByteSource, fileName: string): SparseModel | null {
  const left: { offset: number; length: number }[] = [];
  const whole = { start: 0, end: source.size };
  const model = rewrite(source, whole, graphField, (graph) =>
    rewrite(source, graph, initializerField, (tensor) => sparseTensor(source, tensor, fileName, left)),
  );
  return model && { bytes: concat(model), left };
}

interface Range {
  readonly start: number;
  readonly end: number;
}

interface Field extends Range {
  readonly number: number;
  readonly wireType: number;
  /** Where the content of a length-delimited field begins. */
  readonly content: number;
}

/** Copies a message, with every field of one number replaced by what `replace` makes of its content. */
function rewrite(
  source: ByteSource,
  message: Range,
  number: number,
  replace: (content: Range) => Uint8Array[] | null,
): Uint8Array[] | null {
  const fields = fieldsOf(source, message);
  if (!fields) return null;
  const parts: Uint8Array[] = [];
  let copied = message.start;
  for (const field of fields) {
    if (field.number !== number || field.wireType !== 2) continue;
    const content = replace({ start: field.content, end: field.end });
    if (!content) return null;
    if (copied < field.start) parts.push(source.read(copied, field.start - copied));
    parts.push(record(number, concat(content)));
    copied = field.end;
  }
  if (copied < message.end) parts.push(source.read(copied, message.end - copied));
  return parts;
}

/** A tensor with its raw data left out when it is large and inside this file; as it is otherwise. */
function sparseTensor(
  source: ByteSource,
  tensor: Range,
  fileName: string,
  left: { offset: number; length: number }[],
): Uint8Array[] | null {
  const fields = fieldsOf(source, tensor);
  if (!fields) return null;
  const raw = fields.find((field) => field.number === rawDataField && field.wireType === 2);
  const external = fields.some(
    (field) => field.number === dataLocationField && source.read(field.end - 1, 1)[0] === 1,
  );
  if (!raw || external || raw.end - raw.content < inlineLimit) {
    return [source.read(tensor.start, tensor.end - tensor.start)];
  }
  const [offset, length] = [raw.content, raw.end - raw.content];
  left.push({ offset, length });
  const entry = (key: string, value: string): Uint8Array =>
    record(externalDataField, concat([record(1, utf8.encode(key)), record(2, utf8.encode(value))]));
  return [
    ...fields.filter((field) => field !== raw).map(({ start, end }) => source.read(start, end - start)),
    entry("location", fileName),
    entry("offset", String(offset)),
    entry("length", String(length)),
    Uint8Array.of(dataLocationField * 8, 1),
  ];
}

const utf8 = new TextEncoder();

/** The fields of a message, contents skipped; null when one of them ends beyond it or has an unknown wire type. */
function fieldsOf(source: ByteSource, message: Range): Field[] | null {
  const fields: Field[] = [];
  let at = message.start;
  while (at < message.end) {
    const head = source.read(at, Math.min(20, message.end - at));
    const tag = varint(head, 0);
    if (!tag) return null;
    const wireType = tag.value % 8;
    let [content, end] = [at + tag.next, 0];
    if (wireType === 0 || wireType === 2) {
      const value = varint(head, tag.next);
      if (!value) return null;
      content = at + value.next;
      end = wireType === 2 ? content + value.value : content;
    } else if (wireType === 1 || wireType === 5) end = content + (wireType === 1 ? 8 : 4);
    else return null;
    if (end > message.end) return null;
    fields.push({ number: Math.floor(tag.value / 8), wireType, start: at, content, end });
    at = end;
  }
  return fields;
}

function varint(bytes: Uint8Array, from: number): { value: number; next: number } | null {
  let [value, scale] = [0, 1];
  for (let at = from; at < Math.min(bytes.length, from + 10); at++) {
    const byte = bytes[at] as number;
    value += (byte & 127) * scale;
    if (byte < 128) return { value, next: at + 1 };
    scale *= 128;
  }
  return null;
}

/** A length-delimited field. */
function record(number: number, content: Uint8Array): Uint8Array {
  return concat([encodeVarint(number * 8 + 2), encodeVarint(content.length), content]);
}

function encodeVarint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return Uint8Array.from([...bytes, rest]);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
