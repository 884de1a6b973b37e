import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { committedFixtures, fixturesIn } from "../test/zoo.ts";
import { randomVit, vitTiny } from "../test/random-vit.ts";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeModel, encodeModel } from "./codec.ts";
import { decodeSkeleton } from "./skeleton.ts";
import { readSparse, type ByteSource } from "./sparse-read.ts";

/** A file in memory that notices reads outside of it. */
function memory(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    read(offset, length) {
      if (offset < 0 || length < 0 || offset + length > bytes.length)
        throw new RangeError("read outside of the file");
      return bytes.subarray(offset, offset + length);
    },
  };
}

describe("readSparse", () => {
  it("makes what the skeleton of the whole file is, unknown fields included", () => {
    const files = fixturesIn(committedFixtures)
      .filter(({ name }) => !name.startsWith("bad_"))
      .map(({ folder }) => readFileSync(join(folder, "model.onnx")));
    for (const bytes of [randomVit(vitTiny), ...files.map((file) => Uint8Array.from(file))]) {
      const sparse = readSparse(memory(bytes), "m.onnx");
      expect(sparse).not.toBeNull();
      const expected = encodeModel(decodeSkeleton(bytes, "m.onnx"));
      expect(Buffer.compare(encodeModel(decodeModel(sparse?.bytes ?? bytes)), expected)).toBe(0);
    }
  });

  it("leaves the weights out and says where they are", () => {
    const bytes = randomVit({ ...vitTiny, width: 64 });
    const sparse = readSparse(memory(bytes), "m.onnx");
    const left = sparse?.left ?? [];
    expect(left.length).toBeGreaterThan(5);
    expect(sparse?.bytes.length).toBeLessThan(bytes.length / 5);
    const weights = (decodeModel(bytes).graph?.initializer ?? []).filter(
      ({ rawData }) => rawData.length >= 1024,
    );
    expect(left).toEqual(
      weights.map(({ rawData }) => ({
        offset: rawData.byteOffset - bytes.byteOffset,
        length: rawData.length,
      })),
    );
  });

  it("never reads outside of a cut or changed file, and never throws", () => {
    const bytes = randomVit(vitTiny);
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: bytes.length }),
        fc.integer({ min: 0, max: bytes.length - 1 }),
        fc.integer({ min: 0, max: 255 }),
        (length, at, value) => {
          const changed = bytes.slice(0, length);
          if (at < length) changed[at] = value;
          expect(() => readSparse(memory(changed), "m.onnx")).not.toThrow();
        },
      ),
      { numRuns: 300, seed: 5 },
    );
  });
});
