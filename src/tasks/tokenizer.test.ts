import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { JsonObject } from "./folder-files.ts";
import { createTokenizer } from "./tokenizer.ts";

type Place = [number, number] | null;
interface Family {
  name: string;
  json: JsonObject;
  config: JsonObject;
  cases: { text: string; ids: number[]; tokens: string[]; spans: Place[] }[];
}

const { families } = JSON.parse(
  readFileSync(new URL("testdata/tokenizers.json", import.meta.url), "utf8"),
) as { families: Family[] };
const family = (name: string): Family => families.find((one) => one.name === name)!;

/** A letter with a combining mark behind it: the reference counts the letter alone, this one both. */
const covers = (found: Place, expected: Place): boolean =>
  found !== null &&
  expected !== null &&
  found[0] === expected[0] &&
  found[1] >= expected[1] &&
  found[1] <= expected[1] + 1;

describe.each(families)("$name", ({ json, config, cases }) => {
  const tokenizer = createTokenizer(json, config);

  it.each(cases)("cuts $text as the reference does", ({ text, ids, tokens, spans }) => {
    const encoded = tokenizer.encode(text, 512);
    expect(encoded.ids).toEqual(ids);
    expect(encoded.tokens).toEqual(tokens);
    const points = [...text];
    for (const [i, found] of (encoded.spans as Place[]).entries()) {
      const expected = spans[i]!;
      // The mark in front of a word stands for no character of it.
      if (tokens[i] === "\u2581") expect(found).toBeNull();
      else if (expected && /^\p{M}$/u.test(points[expected[1]] ?? ""))
        expect(covers(found, expected)).toBe(true);
      else expect([tokens[i], found]).toEqual([tokens[i], expected]);
    }
  });

  it("places tokens in order, inside the text and never on nothing, whatever the text", () => {
    const piece = fc.constantFrom(
      "film",
      "Café",
      "unwarmly",
      " ",
      "  ",
      "\t",
      "!",
      "-",
      "東",
      "😀",
      "é",
      "e\u0301",
      "[SEP]",
      "☃",
      "ß",
      "\u00a0",
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(piece).map((all) => all.join("")),
          fc.string({ unit: "binary", maxLength: 20 }),
        ),
        (text) => {
          const { tokens, ids, spans, typeIds } = tokenizer.encode(text, 512);
          expect([ids.length, spans.length, typeIds.length]).toEqual([
            tokens.length,
            tokens.length,
            tokens.length,
          ]);
          const length = [...text].length;
          let last = 0;
          for (const span of spans) {
            if (!span) continue;
            expect(span[0]).toBeGreaterThanOrEqual(last);
            expect(span[1]).toBeGreaterThan(span[0]);
            expect(span[1]).toBeLessThanOrEqual(length);
            last = span[0];
          }
        },
      ),
    );
  });
});

describe("createTokenizer", () => {
  it("cuts long texts at the side the files say, and keeps the special tokens", () => {
    const bert = createTokenizer(family("bert").json, family("bert").config);
    expect(bert.encode("the two two the", 4).tokens).toEqual(["[CLS]", "the", "two", "[SEP]"]);
    expect(bert.encode("the two two the", 4).spans).toEqual([null, [0, 3], [4, 7], null]);
    const clip = createTokenizer(family("clip").json, family("clip").config);
    const whole = clip.encode("the two old brothers", 512);
    const cut = clip.encode("the two old brothers", 5);
    expect(cut.tokens).toEqual(["<s>", ...whole.tokens.slice(-4)]);
    expect(cut.spans).toEqual([null, ...whole.spans.slice(-4)]);
    expect(bert.encode("the two", 1).tokens).toEqual(["[CLS]", "[SEP]"]);
  });

  it("reads padding and lengths from either file", () => {
    const { json } = family("bert");
    expect(createTokenizer(json, { pad_token: { content: "[SEP]" } }).padId).toBe(3);
    expect(createTokenizer({ ...json, padding: { pad_id: 9, direction: "Left" } }, {})).toMatchObject({
      padId: 9,
      padSide: "left",
    });
    expect(
      createTokenizer({ ...json, truncation: { max_length: 7 } }, { model_max_length: 1e30 }).maxLength,
    ).toBe(7);
    expect(createTokenizer(json, { model_max_length: 1e30 }).maxLength).toBeNull();
  });

  it("says when it does not understand the file", () => {
    expect(() => createTokenizer({}, {})).toThrow(/^tokenizer\.json: /);
    expect(() => createTokenizer({ model: { type: "Magic" } }, {})).toThrow(/^tokenizer\.json: /);
  });
});
