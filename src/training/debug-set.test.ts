import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { debugSetLimits, readDebugSet, writeDebugSet } from "./debug-set.ts";

const clean = { id: "a", set: "clean", label: 1, pair: null, instance: "good" };
const failing = {
  id: "b",
  set: "failing",
  label: 0,
  pair: "a",
  instance: { b64: "…" },
  columns: [3, 1],
  note: "kept",
};
const lines = (...values: unknown[]): string => values.map((value) => `${JSON.stringify(value)}\n`).join("");

/** The content in pieces of `size` bytes, as a file stream would give them. */
async function* pieces(content: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < content.length; start += size) yield content.subarray(start, start + size);
}
const read = (
  content: string | Uint8Array,
  options: Parameters<typeof readDebugSet>[1] = { labels: 2 },
  size = 7,
) => readDebugSet(pieces(typeof content === "string" ? Buffer.from(content) : content, size), options);

describe("readDebugSet", () => {
  it("reads plain and gzip content, in pieces of any size, and keeps what it does not know", async () => {
    const text = `${lines(clean)}\n${lines(failing)}`.trimEnd();
    for (const content of [Buffer.from(text), gzipSync(text)]) {
      for (const size of [1, 7, 1 << 20]) {
        const samples = await read(content, { labels: 2 }, size);
        expect(samples.map((sample) => ({ ...sample, source: undefined }))).toEqual([
          { ...clean, columns: null, source: undefined },
          {
            id: "b",
            set: "failing",
            label: 0,
            pair: "a",
            instance: { b64: "…" },
            columns: [3, 1],
            source: undefined,
          },
        ]);
        expect([...writeDebugSet(samples)].join("")).toBe(lines(clean, failing));
      }
    }
  });

  it.each<[string, string | Uint8Array, RegExp]>([
    ["JSON", `${lines(clean)}{"id": `, /line 2: is not valid JSON/],
    ["an array", "[1]", /line 1: expected an object/],
    ["no id", lines({ ...clean, id: undefined }), /line 1: id: is missing/],
    ["an empty id", lines({ ...clean, id: "" }), /line 1: id: expected/],
    ["a set", lines({ ...clean, set: "bad" }), /line 1: set: expected "clean" or "failing"/],
    ["a label that is text", lines({ ...clean, label: "1" }), /line 1: label: expected/],
    ["a negative label", lines({ ...clean, label: -1 }), /line 1: label: expected/],
    ["a label out of range", lines({ ...clean, label: 2 }), /line 1: label: expected a class index below 2/],
    ["no instance", lines({ ...clean, instance: undefined }), /line 1: instance: is missing/],
    ["columns", lines(clean, { ...failing, columns: [1, 1] }), /line 2: columns: expected/],
    ["a pair's type", lines({ ...clean, pair: 3 }), /line 1: pair: expected/],
    ["an unknown pair", `\n${lines(clean, { ...failing, pair: "z" })}`, /line 3: pair "z" names no sample/],
    [
      "a failing twin",
      lines(clean, failing, { ...failing, id: "c", pair: "b" }),
      /line 3: pair "b" is a failing/,
    ],
    ["itself as twin", lines({ ...clean, pair: "a" }), /line 1: pair names the sample itself/],
    ["a repeated id", lines(clean, clean), /line 2: id "a" was used on line 1/],
    ["nothing", "\n\n", /holds no samples/],
    ["UTF-8", Buffer.from([...Buffer.from(lines(clean)), 0xff, 0xfe, 10]), /line 2: is not valid UTF-8/],
    ["cut gzip", gzipSync(lines(clean, failing)).subarray(0, 60), /line \d: cannot be read on/],
  ])("refuses a fault in %s with its line", async (_, content, message) => {
    await expect(read(content)).rejects.toMatchObject({
      code: "ATPATCH_BAD_DEBUG_SET",
      message: expect.stringMatching(message) as string,
    });
  });

  it("stops at its limits, also after decompression", async () => {
    const long = lines({ ...clean, instance: "x".repeat(50_000) });
    const small = { ...debugSetLimits, bytes: 10_000 };
    await expect(read(gzipSync(long), { limits: small })).rejects.toThrow(/more than 10000 bytes/);
    await expect(read(long, { limits: { ...debugSetLimits, lineBytes: 10_000 } })).rejects.toThrow(
      /line 1: has more than 10000/,
    );
    await expect(read(lines(clean, failing), { limits: { ...debugSetLimits, samples: 1 } })).rejects.toThrow(
      /line 2: more than 1 samples/,
    );
    const unended = long.trimEnd();
    await expect(read(unended, { limits: { ...debugSetLimits, lineBytes: 10_000 } })).rejects.toThrow(
      /line 1: has more than 10000/,
    );
  });
});
