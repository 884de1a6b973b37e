import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { floatValues, fromBfloat16, fromHalf, toBfloat16, toHalf } from "./float-bits.ts";
import { jsonElements } from "./json-element.ts";

describe("half precision", () => {
  it("keeps every bit pattern through number and back", () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      const value = fromHalf(bits);
      if (Number.isNaN(value)) expect(toHalf(value)).toBe(0x7e00);
      else if (toHalf(value) !== bits) expect.unreachable(`${bits} became ${toHalf(value)}`);
    }
  });

  it.each([
    [1, 0x3c00],
    [-2, 0xc000],
    [65504, 0x7bff],
    [65519.99, 0x7bff],
    [65520, 0x7c00],
    [-1e9, 0xfc00],
    [2 ** -24, 0x0001],
    [2 ** -25, 0x0000],
    [1.0009765625 + 2 ** -11, 0x3c02],
    [1 + 2 ** -11, 0x3c00],
    [0.1, 0x2e66],
    [-0, 0x8000],
    [2047.9999 / 1024, 0x4000],
  ])("rounds %f to nearest, ties to even", (value, bits) => {
    expect(toHalf(value)).toBe(bits);
  });

  it("takes the nearest of its neighbours", () => {
    fc.assert(
      fc.property(fc.double({ min: -65504, max: 65504, noNaN: true }), (value) => {
        const bits = toHalf(value);
        const error = Math.abs(fromHalf(bits) - value);
        for (const other of [bits - 1, bits + 1].filter((b) => (b & 0x7fff) < 0x7c00 && b >= 0)) {
          expect(error).toBeLessThanOrEqual(Math.abs(fromHalf(other) - value));
        }
      }),
    );
  });
});

describe("bfloat16", () => {
  it("keeps its own numbers and rounds others to nearest, ties to even", () => {
    for (const bits of [0, 0x3f80, 0xc049, 0x7f7f, 0x0001]) expect(toBfloat16(fromBfloat16(bits))).toBe(bits);
    expect(toBfloat16(1 + 2 ** -8)).toBe(0x3f80);
    expect(toBfloat16(1 + 3 * 2 ** -8)).toBe(0x3f82);
    expect(toBfloat16(NaN)).toBe(0x7fc0);
  });
});

describe("floatValues", () => {
  it("reads every floating-point datatype and refuses the rest", () => {
    const read = (
      datatype: "FP64" | "FP16" | "BF16" | "FP32" | "INT32",
      data: Float64Array | Uint16Array,
    ) => [...floatValues({ datatype, shape: [data.length], data })];
    expect(read("FP64", Float64Array.of(0.5, 2))).toEqual([0.5, 2]);
    expect(read("FP16", Uint16Array.of(0x3c00))).toEqual([1]);
    expect(read("BF16", Uint16Array.of(0x3f80))).toEqual([1]);
    expect(() => read("INT32", Uint16Array.of(1))).toThrow("a INT32 tensor holds no floating-point values");
  });
});

describe("jsonElements", () => {
  it.each([
    ["FP32", 3.402823567797336e38, true],
    ["FP32", 3.4028235677973366e38, false],
    ["FP16", 65519, true],
    ["FP16", 65520, false],
    ["FP64", 1e308, true],
    ["FP64", Infinity, false],
    ["FP32", NaN, false],
    ["INT64", 2 ** 53 - 1, true],
    ["INT64", 2 ** 53, false],
    ["INT8", -129, false],
    ["UINT8", 255, true],
    ["INT32", 1.5, false],
    ["INT32", "1", false],
    ["BOOL", true, true],
    ["BOOL", 2, false],
  ] as const)("%s takes %s: %s", (datatype, value, good) => {
    expect(jsonElements[datatype].read(value) !== undefined).toBe(good);
  });
});
