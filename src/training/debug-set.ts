/**
 * Debug sets: what a user collected about a misbehaving model, as JSON Lines, optionally gzip. One sample a line:
 * `{"id", "set": "clean"|"failing", "label", "pair": id|null, "instance", "columns"?}`; other keys are kept as they are.
 */
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { AtPatchError, messageOf } from "../shared/errors.ts";

export interface DebugSample {
  readonly id: string;
  readonly set: "clean" | "failing";
  /** True class. */
  readonly label: number;
  /** Id of the clean twin, or null. */
  readonly pair: string | null;
  /** Exactly what is posted to `:predict`. */
  readonly instance: unknown;
  /** Anomalous key positions; null when they are not known, empty when none were found. */
  readonly columns: readonly number[] | null;
  /** The line as it was, for writing it again. */
  readonly source: Readonly<Record<string, unknown>>;
}

export interface DebugSetLimits {
  /** Bytes of the whole set after decompression. */
  readonly bytes: number;
  /** Bytes of one line. */
  readonly lineBytes: number;
  readonly samples: number;
}

export const debugSetLimits: DebugSetLimits = { bytes: 2 ** 30, lineBytes: 2 ** 26, samples: 1_000_000 };

/**
 * Reads a whole debug set; gzip is recognised by its first bytes.
 * @param chunks the file's content
 * @param labels number of classes of the model; labels are then checked against it
 * @throws AtPatchError ATPATCH_BAD_DEBUG_SET naming the line and what was expected; nothing is returned then
 */
export async function readDebugSet(
  chunks: AsyncIterable<Uint8Array>,
  options: { labels?: number; limits?: DebugSetLimits } = {},
): Promise<DebugSample[]> {
  const limits = options.limits ?? debugSetLimits;
  const samples: DebugSample[] = [];
  const lineOf = new Map<string, number>();
  const lines: number[] = [];
  for await (const [line, text] of linesOf(await decompressed(chunks), limits)) {
    if (text.trim() === "") continue;
    if (samples.length === limits.samples) fail(`line ${line}: more than ${limits.samples} samples`);
    const sample = parseSample(text, line, options.labels);
    const first = lineOf.get(sample.id);
    if (first !== undefined) fail(`line ${line}: id "${sample.id}" was used on line ${first} already`);
    lineOf.set(sample.id, line);
    lines.push(line);
    samples.push(sample);
  }
  if (samples.length === 0) fail("the set holds no samples");
  const sets = new Map(samples.map((sample) => [sample.id, sample.set]));
  samples.forEach(({ id, pair, set }, i) => {
    if (pair === null) return;
    if (!sets.has(pair)) fail(`line ${lines[i]}: pair "${pair}" names no sample of the set`);
    if (pair === id) fail(`line ${lines[i]}: pair names the sample itself`);
    if (set === "failing" && sets.get(pair) !== "clean") {
      fail(`line ${lines[i]}: pair "${pair}" is a failing sample, a clean twin was expected`);
    }
  });
  return samples;
}

/** The samples as JSON Lines, each with its `columns` when they are known. */
export function* writeDebugSet(samples: Iterable<DebugSample>): Generator<string> {
  for (const { source, columns } of samples) {
    yield `${JSON.stringify(columns === null ? source : { ...source, columns })}\n`;
  }
}

function fail(message: string, cause?: unknown): never {
  throw new AtPatchError("ATPATCH_BAD_DEBUG_SET", `debug set: ${message}`, { cause });
}

function parseSample(text: string, line: number, labels: number | undefined): DebugSample {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    fail(`line ${line}: is not valid JSON`, error);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    fail(`line ${line}: expected an object`);
  const source = value as Readonly<Record<string, unknown>>;
  const { id, set, label, pair = null, instance, columns = null } = source;
  const expected = (field: string, what: string): never =>
    fail(`line ${line}: ${field}: ${field in source ? `expected ${what}` : `is missing, expected ${what}`}`);
  if (typeof id !== "string" || id === "") return expected("id", "a text that is not empty");
  if (set !== "clean" && set !== "failing") return expected("set", '"clean" or "failing"');
  if (typeof label !== "number" || !Number.isInteger(label) || label < 0)
    return expected("label", "a class index from 0");
  if (labels !== undefined && label >= labels) {
    return expected("label", `a class index below ${labels}, the number of the model's classes`);
  }
  if (pair !== null && typeof pair !== "string") return expected("pair", "the id of the clean twin or null");
  if (instance === undefined || instance === null) return expected("instance", "what is posted to :predict");
  if (columns !== null && !isColumns(columns))
    return expected("columns", "a list of distinct key positions from 0");
  return { id, set, label, pair, instance, columns, source };
}

function isColumns(value: unknown): value is readonly number[] {
  return (
    Array.isArray(value) &&
    value.every((column) => Number.isInteger(column) && column >= 0) &&
    new Set(value).size === value.length
  );
}

/** Undoes gzip when the content starts like gzip. */
async function decompressed(chunks: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  const iterator = chunks[Symbol.asyncIterator]();
  const head: Uint8Array[] = [];
  let length = 0;
  while (length < 2) {
    const next = await iterator.next();
    if (next.done) break;
    head.push(next.value);
    length += next.value.length;
  }
  async function* whole(): AsyncGenerator<Uint8Array> {
    yield* head;
    for (;;) {
      const next = await iterator.next();
      if (next.done) return;
      yield next.value;
    }
  }
  const [first, second] = Buffer.concat(head);
  if (first !== 0x1f || second !== 0x8b) return whole();
  const source = Readable.from(whole());
  const gunzip = createGunzip();
  source.on("error", (error) => gunzip.destroy(error));
  return source.pipe(gunzip);
}

/** Yields [line number from 1, text] and watches the limits. */
async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
  limits: DebugSetLimits,
): AsyncGenerator<[number, string]> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const decode = (parts: readonly Uint8Array[], line: number): string => {
    try {
      return decoder.decode(Buffer.concat(parts));
    } catch (error) {
      return fail(`line ${line}: is not valid UTF-8`, error);
    }
  };
  let [line, total, pending] = [1, 0, 0];
  let parts: Uint8Array[] = [];
  try {
    for await (const chunk of chunks) {
      total += chunk.length;
      if (total > limits.bytes) fail(`line ${line}: the set has more than ${limits.bytes} bytes`);
      let start = 0;
      for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
        parts.push(chunk.subarray(start, end));
        if (pending + end - start > limits.lineBytes) tooLong(line, limits);
        yield [line, decode(parts, line)];
        parts = [];
        pending = 0;
        line += 1;
        start = end + 1;
      }
      parts.push(chunk.subarray(start));
      pending += chunk.length - start;
      if (pending > limits.lineBytes) tooLong(line, limits);
    }
  } catch (error) {
    if (error instanceof AtPatchError) throw error;
    fail(`line ${line}: cannot be read on (${messageOf(error)})`, error);
  }
  if (pending > 0) yield [line, decode(parts, line)];
}

function tooLong(line: number, limits: DebugSetLimits): never {
  fail(`line ${line}: has more than ${limits.lineBytes} bytes`);
}
