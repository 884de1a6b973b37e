import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AtPatchError } from "./errors.ts";
import { maxHeaderBytes, readSafetensors, writeSafetensors } from "./safetensors.ts";
import { byteSize, datatypes, elementCount, float32, type NumericDatatype, type Tensor } from "./tensor.ts";

/** A file with the given header text, header length and data, whatever they are. */
function file(header: string, data: ArrayLike<number> = [], length?: number | bigint): Uint8Array {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length ?? text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

function refusal(bytes: Uint8Array): string {
  try {
    readSafetensors(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(AtPatchError);
    expect((error as AtPatchError).code).toBe("ATPATCH_BAD_INPUT");
    return (error as AtPatchError).message;
  }
  throw new Error("the file was accepted");
}

const anyTensor: fc.Arbitrary<Tensor> = fc
  .record({
    datatype: fc.constantFrom(...(Object.keys(datatypes) as NumericDatatype[])),
    shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }),
  })
  .chain(({ datatype, shape }) => {
    const bytes = elementCount(shape) * byteSize(datatype);
    const byte = fc.integer({ min: 0, max: datatype === "BOOL" ? 1 : 255 });
    return fc.array(byte, { minLength: bytes, maxLength: bytes }).map((content) => ({
      datatype,
      shape,
      data: new datatypes[datatype](Uint8Array.from(content).buffer),
    }));
  });
const anyName = fc.string({ unit: "binary", maxLength: 8 }).filter((name) => name !== "__metadata__");
const anyTensors = fc.uniqueArray(fc.tuple(anyName, anyTensor), { maxLength: 5, selector: ([name]) => name });
const anyMetadata = fc.dictionary(anyName, fc.string({ unit: "binary" }), { maxKeys: 3 });

function raw({ data }: Tensor): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

describe("safetensors", () => {
  it("reads a file put together by hand", () => {
    const header = '{"test":{"dtype":"I32","shape":[2,2],"data_offsets":[0,16]}}';
    const bytes = file(header, [1, 0, 0, 0, 0, 1, 0, 0, 255, 255, 255, 255, 0, 0, 0, 128]);
    expect(bytes[0]).toBe(0x3c);
    const { tensors, metadata } = readSafetensors(bytes);
    expect(metadata).toEqual({});
    expect([...tensors]).toEqual([
      ["test", { datatype: "INT32", shape: [2, 2], data: Int32Array.of(1, 256, -1, -2147483648) }],
    ]);
  });

  it("gives back what it was given, in any order of insertion", () => {
    fc.assert(
      fc.property(anyTensors, anyMetadata, (entries, metadata) => {
        const bytes = writeSafetensors(new Map(entries), metadata);
        const reversed = Object.fromEntries(Object.entries(metadata).reverse());
        expect(Buffer.compare(bytes, writeSafetensors(new Map(entries.toReversed()), reversed))).toBe(0);
        const read = readSafetensors(bytes);
        expect(new Map(Object.entries(read.metadata))).toEqual(new Map(Object.entries(metadata)));
        expect(read.tensors.size).toBe(entries.length);
        for (const [name, tensor] of entries) {
          const again = read.tensors.get(name);
          expect(again).toMatchObject({ datatype: tensor.datatype, shape: tensor.shape });
          // Bits, not numbers: a NaN keeps its payload.
          expect(again && raw(again)).toEqual(raw(tensor));
        }
      }),
    );
  });

  it("aligns every tensor to its element size", () => {
    const bytes = writeSafetensors(
      new Map<string, Tensor>([
        ["a", { datatype: "BOOL", shape: [3], data: Uint8Array.of(1, 0, 1) }],
        ["b", { datatype: "INT64", shape: [1], data: BigInt64Array.of(7n) }],
        ["c", float32([1], [2])],
      ]),
    );
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    expect(length % 8).toBe(0);
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as Record<
      string,
      { data_offsets: number[] }
    >;
    expect(Object.entries(header).map(([name, entry]) => [name, entry.data_offsets])).toEqual([
      ["b", [0, 8]],
      ["c", [8, 12]],
      ["a", [12, 15]],
    ]);
  });

  it("gives every tensor memory of its own, wherever the file lies in memory", () => {
    const bytes = writeSafetensors(new Map([["x", float32([2], [1, 2])]]));
    const around = Buffer.alloc(bytes.length + 3);
    around.set(bytes, 3);
    const data = readSafetensors(around.subarray(3)).tensors.get("x")?.data;
    around.fill(0);
    expect(data).toEqual(Float32Array.of(1, 2));
    expect(data?.buffer.byteLength).toBe(8);
  });

  const sample = writeSafetensors(
    new Map<string, Tensor>([
      ["weights", float32([2, 3], [1, 2, 3, 4, 5, 6])],
      ["slot", { datatype: "INT64", shape: [2], data: BigInt64Array.of(0n, -1n) }],
    ]),
    { note: "ü" },
  );

  it("refuses a file cut off at any byte, and one with a byte too many", () => {
    for (let length = 0; length < sample.length; length += 1) refusal(sample.subarray(0, length));
    expect(refusal(Uint8Array.of(...sample, 0))).toContain("40 bytes, but there are 41 bytes of data");
  });

  it("never fails otherwise than by refusal when header bytes change, and never loses data silently", () => {
    const end = 8 + Number(new DataView(sample.buffer).getBigUint64(0, true));
    let refused = 0;
    for (let at = 0; at < end; at += 1) {
      for (let flip = 1; flip < 256; flip += 1) {
        const changed = sample.slice();
        changed[at] = (changed[at] ?? 0) ^ flip;
        try {
          const { tensors } = readSafetensors(changed);
          // Only names and the note may differ, or a dtype of the same size.
          expect([...tensors.values()].map((tensor) => raw(tensor).length)).toEqual([16, 24]);
          expect([...tensors.values()].map((tensor) => tensor.shape)).toEqual([[2], [2, 3]]);
        } catch (error) {
          if (!(error instanceof AtPatchError)) throw error;
          refused += 1;
        }
      }
    }
    expect(refused).toBeGreaterThan(0.6 * end * 255);
  }, 30_000);

  const f32 = (offsets: string, shape = "[1]", more = "") =>
    `{"dtype":"F32","shape":${shape},"data_offsets":${offsets}${more}}`;
  it.each<[string, Uint8Array, string]>([
    ["a header over the limit", file("{}", [], maxHeaderBytes + 1), "the header may have 1048576 bytes"],
    ["a header length beyond 2^53", file("{}", [], 2n ** 64n - 1n), "the header may have"],
    ["a header longer than the file", file("{}", [], 3), "is the file cut off?"],
    ["a header that is no JSON", file("{]"), "no JSON in UTF-8"],
    [
      "a header that is no UTF-8",
      file(`{"?":${f32("[0,4]")}}`, [0, 0, 0, 0]).fill(0xff, 10, 11),
      "no JSON in UTF-8",
    ],
    ["a header with a byte order mark", file("\ufeff{}"), "no JSON"],
    ["a header that is an array", file("[]"), 'must begin with "{"'],
    ["a header after a space", file(" {}"), 'must begin with "{"'],
    ["deep nesting", file("[".repeat(200_000)), "no JSON"],
    ["a name twice", file(`{"a":${f32("[0,4]")},"a":${f32("[0,4]")}}`, [0, 0, 0, 0]), "the same name twice"],
    [
      "a field twice",
      file('{"a":{"dtype":"F32","dtype":"I32","shape":[1],"data_offsets":[0,4]}}', [0, 0, 0, 0]),
      "twice",
    ],
    ["an escaped name twice", file(`{"a":${f32("[0,4]")},"\\u0061":${f32("[0,4]")}}`, [0, 0, 0, 0]), "twice"],
    [
      "an unknown dtype",
      file('{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}', [0]),
      "expected a dtype out of",
    ],
    [
      "a dtype of the prototype",
      file('{"a":{"dtype":"toString","shape":[1],"data_offsets":[0,1]}}', [0]),
      "expected a dtype",
    ],
    ["a missing shape", file('{"a":{"dtype":"U8","data_offsets":[0,1]}}', [0]), "expected a shape"],
    ["a negative size", file(`{"a":${f32("[0,4]", "[-1]")}}`, [0, 0, 0, 0]), "expected a shape"],
    ["a fraction as size", file(`{"a":${f32("[0,4]", "[1.5]")}}`, [0, 0, 0, 0]), "expected a shape"],
    ["an overflowing shape", file(`{"a":${f32("[0,4]", "[4294967296,4294967296]")}}`, [0, 0, 0, 0]), "needs"],
    ["three offsets", file(`{"a":${f32("[0,4,4]")}}`, [0, 0, 0, 0]), "data_offsets [begin, end]"],
    ["offsets that swap", file(`{"a":${f32("[4,0]")}}`, [0, 0, 0, 0]), "data_offsets give -4"],
    [
      "a size that the shape does not give",
      file(`{"a":${f32("[0,8]")}}`, Array<number>(8).fill(0)),
      "needs 4 bytes",
    ],
    ["another field", file(`{"a":${f32("[0,4]", "[1]", ',"x":1')}}`, [0, 0, 0, 0]), 'no field "x"'],
    ["an entry that is a number", file('{"a":1}'), "expected a dtype"],
    [
      "a hole",
      file(`{"a":${f32("[0,4]")},"b":${f32("[8,12]")}}`, Array<number>(12).fill(0)),
      "begin at 4, got 8",
    ],
    ["a hole at the start", file(`{"a":${f32("[4,8]")}}`, Array<number>(8).fill(0)), "begin at 0, got 4"],
    [
      "an overlap",
      file(`{"a":${f32("[0,8]", "[2]")},"b":${f32("[4,8]")}}`, Array<number>(8).fill(0)),
      "begin at 8, got 4",
    ],
    [
      "the same bytes twice",
      file(`{"a":${f32("[0,4]")},"b":${f32("[0,4]")}}`, [0, 0, 0, 0]),
      "begin at 4, got 0",
    ],
    ["offsets beyond the data", file(`{"a":${f32("[0,4]")}}`, [0, 0, 0]), "take 4 bytes, but there are 3"],
    ["data without a tensor", file("{}", [0]), "take 0 bytes, but there are 1"],
    ["metadata that is no string", file('{"__metadata__":{"a":1}}'), "object of strings"],
    ["metadata that is null", file('{"__metadata__":null}'), "object of strings"],
    [
      "a bool that is 2",
      file('{"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}', [2]),
      "bytes 0 and 1",
    ],
  ])("refuses %s", (_fault, bytes, message) => {
    expect(refusal(bytes)).toContain(message);
  });

  it("reads the longest header there may be and refuses to write a longer one", () => {
    const note = (size: number) => ({ note: '\\"'.repeat(size) });
    const most = writeSafetensors(new Map(), note((maxHeaderBytes - 40) / 4));
    expect(readSafetensors(most).metadata["note"]?.length).toBe((maxHeaderBytes - 40) / 2);
    expect(() => writeSafetensors(new Map(), note(maxHeaderBytes / 4))).toThrow("the header may have");
  });

  it("refuses to write a reserved name or a shape without its data", () => {
    expect(() => writeSafetensors(new Map([["__metadata__", float32([0], [])]]))).toThrow(
      "no name for a tensor",
    );
    const short: Tensor = { datatype: "FP32", shape: [2], data: new Float32Array(1) };
    expect(() => writeSafetensors(new Map([["x", short]]))).toThrow("needs 2 elements, got 1");
  });
});
