import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AtPatchError } from "../shared/errors.ts";
import { float32, tensor } from "../shared/tensor.ts";
import { decodeTensor, encodeTensor, type TensorJson } from "./tensor-json.ts";

const input = (datatype: string, shape: number[], data: unknown[]): TensorJson => ({
  name: "x",
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
    ["INT64", [1], [2 ** 53], "t.data[0]: expected a whole number within ±9007199254740991"],
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
    ["BYTES", [1], ["a"], "t.datatype: no input of a patched model takes BYTES"],
  ])("refuses %s %j %j", (datatype, shape, data, message) => {
    const error = refusal(() => decodeTensor("t", input(datatype, shape, data)));
    expect(error.message).toContain(message);
    expect(error.code).toBe(
      datatype === "FP16" || datatype === "BYTES" ? "ATPATCH_UNPROCESSABLE" : "ATPATCH_BAD_INPUT",
    );
  });

  it("keeps every float32 through a round trip", () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 1 }),
        (values) => {
          const original = float32([values.length], values);
          const text = JSON.stringify(encodeTensor("x", original));
          const back = decodeTensor("x", JSON.parse(text) as TensorJson);
          // JSON has no negative zero.
          expect([...back.data]).toEqual([...original.data].map((value) => (value === 0 ? 0 : value)));
        },
      ),
    );
  });
});

describe("encodeTensor", () => {
  it("writes flat numbers and booleans", () => {
    expect(encodeTensor("y", tensor("BOOL", [2], Uint8Array.of(1, 0))).data).toEqual([true, false]);
    expect(encodeTensor("y", tensor("INT64", [1, 1], BigInt64Array.of(-3n)))).toEqual({
      name: "y",
      shape: [1, 1],
      datatype: "INT64",
      data: [-3],
    });
  });

  it.each([
    [tensor("FP32", [2], Float32Array.of(1, NaN)), 'output "y" holds NaN at position 1'],
    [tensor("FP64", [1], Float64Array.of(-Infinity)), 'output "y" holds -Infinity at position 0'],
    [tensor("INT64", [1], BigInt64Array.of(2n ** 60n)), 'output "y" holds 1152921504606846976 at position 0'],
    [tensor("FP16", [1], Uint16Array.of(0)), 'output "y" is FP16, which has no JSON form'],
  ])("refuses what JSON cannot carry", (value, message) => {
    const error = refusal(() => encodeTensor("y", value));
    expect(error.code).toBe("ATPATCH_UNPROCESSABLE");
    expect(error.message).toContain(message);
  });
});
