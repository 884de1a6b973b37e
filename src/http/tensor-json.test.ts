import { describe, expect, it } from "vitest";
import { AtPatchError } from "../shared/errors.ts";
import { float32 } from "../shared/tensor.ts";
import { parseExactly } from "./exact-integers.ts";
import { decodeTensor, type TensorJson } from "./tensor-json.ts";

const input = (datatype: string, shape: number[], data: unknown[]): TensorJson => ({
  datatype,
  shape,
  data,
});

function refusal(run: () => unknown): AtPatchError {
  try {
    run();
  } catch (error) {
    if (error instanceof AtPatchError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("decodeTensor", () => {
  it("reads flat and nested data alike", () => {
    const flat = decodeTensor("inputs[0]", input("FP32", [2, 1, 2], [1, 2, 3, 4.5]));
    const nested = decodeTensor("inputs[0]", input("FP32", [2, 1, 2], [[[1, 2]], [[3, 4.5]]]));
    expect(flat).toEqual(nested);
    expect(flat).toEqual(float32([2, 1, 2], [1, 2, 3, 4.5]));
  });

  it.each([
    ["BOOL", [true, 0, 1, false], Uint8Array.of(1, 0, 1, 0)],
    ["UINT8", [0, 255], Uint8Array.of(0, 255)],
    ["UINT16", [65535], Uint16Array.of(65535)],
    ["UINT32", [4294967295], Uint32Array.of(4294967295)],
    ["UINT64", [9007199254740991], BigUint64Array.of(9007199254740991n)],
    ["INT8", [-128, 127], Int8Array.of(-128, 127)],
    ["INT16", [-32768], Int16Array.of(-32768)],
    ["INT32", [-2147483648], Int32Array.of(-2147483648)],
    ["INT64", [-5, 7], BigInt64Array.of(-5n, 7n)],
    ["FP32", [0.5], Float32Array.of(0.5)],
    ["FP64", [0.1], Float64Array.of(0.1)],
  ])("reads %s", (datatype, data, expected) => {
    expect(decodeTensor("t", input(datatype, [data.length], data)).data).toEqual(expected);
  });

  it.each([
    ["INT32", [1], [1.5], "t.data[0]: expected a whole number from -2147483648 to 2147483647, got 1.5"],
    [
      "INT64",
      [1],
      [2 ** 53],
      "t.data[0]: expected a whole number from -9223372036854775808 to 9223372036854775807",
    ],
    ["UINT8", [2], [1, -1], "t.data[1]: expected a whole number from 0 to 255, got -1"],
    ["FP32", [1], [1e300], "t.data[0]: expected a finite number that fits FP32, got 1e+300"],
    ["FP64", [1], [Infinity], "t.data[0]: expected a finite number, got Infinity"],
    ["FP32", [1], [null], "t.data[0]: expected a finite number that fits FP32, got null (JSON has no NaN)"],
    ["FP32", [1], ["1"], "t.data[0]: expected a finite number that fits FP32, got a string"],
    ["BOOL", [1], [2], "t.data[0]: expected true or false, got 2"],
    ["FP32", [2, 2], [1, 2, 3], "t.data: shape [2, 2] needs 4 values, got 3"],
    ["FP32", [2, 2], [[1, 2], [3]], "t.data[1]: dimension 1 of the shape is 2, got 1 values"],
    ["FP32", [2, 2], [[1, 2], 3], "t.data[1]: expected a list, the shape has 2 dimensions"],
    ["FP32", [2, 1], [[1], [[2]]], "t.data[1][0]: expected a finite number that fits FP32, got a list"],
    ["FP32", [1], [[1]], "t.data[0]: expected a finite number that fits FP32, got a list"],
    ["FP32", [1e9, 1e9], [1], "t.shape: [1000000000, 1000000000] is too large"],
    ["FLOAT", [1], [1], 't.datatype: "FLOAT" is not one of BOOL, UINT8'],
    ["constructor", [1], [1], 't.datatype: "constructor" is not one of'],
    ["FP16", [1], [1], "t.datatype: FP16 has no JSON form"],
    ["BYTES", [1], [1], "t.data[0]: expected a string, got 1"],
  ])("refuses %s %j %j", (datatype, shape, data, message) => {
    const error = refusal(() => decodeTensor("t", input(datatype, shape, data)));
    expect(error.message).toContain(message);
    expect(error.code).toBe(datatype === "FP16" ? "ATPATCH_UNPROCESSABLE" : "ATPATCH_BAD_INPUT");
  });

  it("reads BYTES as UTF-8 texts, each behind its length", () => {
    expect(decodeTensor("t", input("BYTES", [2, 1], [["é"], [""]]))).toEqual({
      datatype: "BYTES",
      shape: [2, 1],
      data: Buffer.from([2, 0, 0, 0, 0xc3, 0xa9, 0, 0, 0, 0]),
    });
  });

  it("reads whole numbers beyond 2^53 exactly, from the text", () => {
    const read = (datatype: string, list: string): unknown => {
      const text = `{"data": ${list}, "id": "12345678901234567890", "x": 0.12345678901234567}`;
      const { data } = JSON.parse(text) as { data: unknown[] };
      const shape = [data.length];
      const exactly = () => (parseExactly(text) as { data: unknown[] }).data;
      return decodeTensor("t", input(datatype, shape, data), exactly).data;
    };
    const [least, most] = [-(2n ** 63n), 2n ** 63n - 1n];
    expect(read("INT64", `[${least}, -7, ${most}, 9007199254740993]`)).toEqual(
      BigInt64Array.of(least, -7n, most, 9007199254740993n),
    );
    expect(read("UINT64", "[18446744073709551615, 0]")).toEqual(BigUint64Array.of(2n ** 64n - 1n, 0n));
    for (const [datatype, list] of [
      ["INT64", "[9223372036854775808]"],
      ["INT64", "[1, 9223372036854775807.5]"],
      ["INT64", "[9007199254740993, 1e30]"],
      ["UINT64", "[18446744073709551616]"],
      ["UINT64", "[9007199254740993, -1]"],
      ["UINT64", `[9007199254740993, 1${"0".repeat(200)}]`],
      ["UINT64", '[9007199254740993, "\\u0000integer:x"]'],
    ] as const) {
      expect(refusal(() => read(datatype, list)).message).toMatch(
        /^t\.data\[[01]\]: expected a whole number/,
      );
    }
  });
});
