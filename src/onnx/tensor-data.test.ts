import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TensorProtoSchema } from "./generated/onnx_pb.ts";
import { DataType } from "./model.ts";
import { fromBfloat16, fromHalf } from "../shared/float-bits.ts";
import { smallNumbers, tensorOf, tensorValues } from "./tensor-data.ts";

describe("tensor data", () => {
  it("reads typed fields and raw data alike", () => {
    fc.assert(
      fc.property(fc.array(fc.float({ noNaN: true }), { maxLength: 9 }), (values) => {
        const data = Float32Array.from(values);
        const typed = create(TensorProtoSchema, {
          dataType: DataType.FLOAT,
          dims: [BigInt(values.length)],
          floatData: [...data],
        });
        expect(tensorValues(typed)).toEqual(data);
        expect(tensorValues(tensorOf("t", DataType.FLOAT, [values.length], data))).toEqual(data);
      }),
    );
  });

  it("reads integers of every width from their typed fields", () => {
    const int8 = create(TensorProtoSchema, { dataType: DataType.INT8, dims: [2n], int32Data: [-3, 5] });
    expect(tensorValues(int8)).toEqual(Int8Array.of(-3, 5));
    const int64 = create(TensorProtoSchema, {
      dataType: DataType.INT64,
      dims: [1n],
      int64Data: [-(2n ** 40n)],
    });
    expect(tensorValues(int64)).toEqual(BigInt64Array.of(-(2n ** 40n)));
    expect(smallNumbers(int64)).toEqual([-(2 ** 40)]);
    const bool = create(TensorProtoSchema, { dataType: DataType.BOOL, dims: [], int32Data: [1] });
    expect(tensorValues(bool)).toEqual(Uint8Array.of(1));
  });

  it("decodes half precision and bfloat16", () => {
    expect([0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00].map(fromHalf)).toEqual([
      1,
      -2,
      65504,
      2 ** -24,
      Infinity,
    ]);
    expect([0x3f80, 0xc000].map(fromBfloat16)).toEqual([1, -2]);
  });

  it("copies what it reads and refuses data of the wrong size", () => {
    const tensor = tensorOf("t", DataType.FLOAT, [2], Float32Array.of(1, 2));
    const values = tensorValues(tensor);
    tensor.rawData.fill(0);
    expect(values).toEqual(Float32Array.of(1, 2));
    tensor.dims = [3n];
    expect(() => tensorValues(tensor)).toThrow(/tensor "t" holds 8 bytes, its dimensions need 12/);
  });
});
