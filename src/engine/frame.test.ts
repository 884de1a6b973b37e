import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { datatypes, type NumericDatatype, type Tensor } from "../shared/tensor.ts";
import { ownedFrame, packFrame, unpackFrame } from "./frame.ts";

/** Tensors whose data is a view into the middle of a larger buffer, as sliced batches are. */
const anyTensor: fc.Arbitrary<Tensor> = fc
  .record({
    datatype: fc.constantFrom(...(Object.keys(datatypes) as NumericDatatype[])),
    length: fc.nat(40),
    bytes: fc.uint8Array({ minLength: 400, maxLength: 400 }),
  })
  .map(({ datatype, length, bytes }) => ({
    datatype,
    shape: [length],
    data: new datatypes[datatype](bytes.slice().buffer, 16, length),
  }));

/** Names of a model's inputs are anything its maker liked. */
const anyName = fc.oneof(fc.string(), fc.constant("__proto__"));

const bytesOf = ({ data }: Tensor): number[] => [
  ...new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
];

describe("frames", () => {
  it.each([ArrayBuffer, SharedArrayBuffer])("give back every tensor bit for bit from %o", (Buffer) => {
    fc.assert(
      fc.property(fc.dictionary(anyName, anyTensor, { maxKeys: 6 }), (tensors) => {
        const frame = structuredClone(packFrame(tensors, (bytes) => new Buffer(bytes)));
        const back = unpackFrame(ownedFrame(frame));
        expect(Object.keys(back).toSorted()).toEqual(Object.keys(tensors).toSorted());
        for (const [name, tensor] of Object.entries(tensors)) {
          expect(back[name]!.datatype).toBe(tensor.datatype);
          expect(back[name]!.shape).toEqual(tensor.shape);
          expect(back[name]!.data.constructor).toBe(datatypes[tensor.datatype]);
          expect(bytesOf(back[name]!)).toEqual(bytesOf(tensor));
          expect(back[name]!.data.buffer).toBeInstanceOf(ArrayBuffer);
        }
      }),
    );
  });

  it("leave the packed arrays usable when the buffer is moved away", () => {
    const data = Float32Array.of(1, 2, 3);
    const frame = packFrame({ x: { datatype: "FP32", shape: [3], data } });
    structuredClone(frame, { transfer: [frame.buffer as ArrayBuffer] });
    expect(frame.buffer.byteLength).toBe(0);
    expect([...data]).toEqual([1, 2, 3]);
  });
});
