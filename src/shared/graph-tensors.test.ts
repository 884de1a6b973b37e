import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { graphShapes, graphTensor } from "./graph-tensors.ts";
import { float32 } from "./tensor.ts";

const length = fc.integer({ min: 1, max: 4 });

describe("tensors as the graph takes them", () => {
  it.each([
    ["reference_attention", 3],
    ["reference_value", 2],
  ] as const)("puts the keys of %s first, those of one site after those of another", (name, keyAxis) => {
    fc.assert(
      fc.property(fc.tuple(length, length, length, length), (shape) => {
        const size = shape.reduce((product, dim) => product * dim);
        // Every number tells its own place.
        const given = float32(
          shape,
          Float32Array.from({ length: size }, (_, at) => at),
        );
        const { shape: turned, data } = graphTensor(name, given);
        const others = [1, 2, 3].filter((axis) => axis !== keyAxis);
        const keys = shape[keyAxis];
        expect(turned).toEqual([shape[0] * keys, ...others.map((axis) => shape[axis]!)]);
        for (let at = 0; at < size; at++) {
          const [inner, rest] = [at % turned[2]!, Math.floor(at / turned[2]!)];
          const [outer, row] = [rest % turned[1]!, Math.floor(rest / turned[1]!)];
          const place = [Math.floor(row / keys), 0, 0, 0];
          place[keyAxis] = row % keys;
          place[others[0]!] = outer;
          place[others[1]!] = inner;
          const from = place.reduce((sum, index, axis) => sum * shape[axis]! + index, 0);
          expect(data[at]).toBe(from);
        }
      }),
    );
  });

  it("gives mean and scale an axis for the keys, and leaves the others as they are", () => {
    const given = float32([2, 3], [1, 2, 3, 4, 5, 6]);
    expect(graphTensor("feature_mean", given)).toEqual({ ...given, shape: [2, 3, 1] });
    expect(graphTensor("thresholds", given)).toBe(given);
    expect(graphShapes.feature_scale).toHaveLength(3);
    expect(graphShapes.reference_value).toHaveLength(3);
  });
});
