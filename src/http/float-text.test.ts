import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { floatText } from "./float-text.ts";

const textOf = (values: Float32Array): string =>
  Buffer.from(floatText(values, 0, values.length)).toString("latin1");

describe("floatText", () => {
  it("writes JSON that reads back as the same float32, whatever the bits", () => {
    fc.assert(
      fc.property(fc.uint32Array({ minLength: 1, maxLength: 200 }), (bits) => {
        const values = new Float32Array(bits.buffer).map((value) => (Number.isFinite(value) ? value : 0));
        const back = Float32Array.from(JSON.parse(`[${textOf(values)}]`) as number[]);
        expect(back).toEqual(values);
      }),
      { numRuns: 500 },
    );
  });

  it("writes every power of two and its neighbours exactly", () => {
    const bits = Array.from({ length: 254 }, (_, exponent) => (exponent + 1) << 23);
    const values = new Float32Array(Uint32Array.from(bits.flatMap((at) => [at - 1, at, at + 1])).buffer);
    expect(Float32Array.from(JSON.parse(`[${textOf(values)}]`) as number[])).toEqual(values);
  });

  it.each([
    [0.1, "0.1"],
    [-2.5, "-2.5"],
    [16777216, "16777216"],
    [100, "100"],
    [0.33333334, "0.33333334"],
    [1e-7, "0.0000001"],
    [0, "0"],
    [-0, "-0.0"],
    [999999999, "1000000000"],
    [1e-20, "9.999999682655225e-21"],
  ])("writes %d as %s", (value, expected) => {
    expect(textOf(Float32Array.of(value))).toBe(expected);
  });

  it("separates a slice by commas", () => {
    expect(Buffer.from(floatText(Float32Array.of(9, 1, 2, 9), 1, 3)).toString()).toBe("1,2");
  });
});
