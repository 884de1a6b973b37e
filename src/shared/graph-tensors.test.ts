import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { opCase, plainShape, type OpCaseShape } from "../test/op-cases.ts";
import {
  graphShapes,
  graphTensor,
  isPointwise,
  pointwiseTensorNames,
  pointwiseTensors,
} from "./graph-tensors.ts";
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

describe("a detector in the pointwise form", () => {
  const shape: OpCaseShape = {
    ...plainShape,
    seed: 3,
    keys: 4,
    depth: 3,
    kernel: 1,
    ratio: true,
    pointwise: true,
  };
  const { detector } = opCase(shape);
  const values = 6;
  const withScale = (change: (x: number, at: number) => number): typeof detector => {
    const { feature_scale: scale } = detector;
    return { ...detector, feature_scale: float32(scale.shape, (scale.data as Float32Array).map(change)) };
  };

  it("is possible for one row that looks at the values of single keys, and for no other", () => {
    expect(isPointwise(detector)).toBe(true);
    expect(isPointwise(opCase({ ...shape, pointwise: false }).detector)).toBe(false);
    expect(isPointwise(opCase({ ...shape, pointwise: false, kernel: 3 }).detector)).toBe(false);
    // One attention feature is enough; zeros at the end are the padding of a site with fewer values.
    expect(isPointwise(withScale((x, at) => (at === 2 ? 1 : x)))).toBe(false);
    expect(isPointwise(withScale((x, at) => (at === 10 + values ? 0 : x)))).toBe(false);
    const wide = { ...detector.conv1_weight, shape: [1, 5, 11 + values, 3] };
    expect(isPointwise({ ...detector, conv1_weight: wide })).toBe(false);
    const twice = float32(
      [2, 11 + values],
      [...detector.feature_scale.data, ...detector.feature_scale.data].map(Number),
    );
    expect(isPointwise({ ...detector, feature_scale: twice })).toBe(false);
  });

  it("has matrices and lists for the values alone", () => {
    const tensors = pointwiseTensors(detector);
    const shapes = Object.fromEntries(pointwiseTensorNames.map((name) => [name, tensors[name].shape]));
    expect(shapes).toEqual({
      feature_mean: [values],
      feature_scale: [values],
      conv1_weight: [5, values],
      conv1_bias: [5],
      conv2_weight: [3, 5],
      conv2_bias: [3],
      conv3_weight: [1, 3],
      conv3_bias: [1],
      thresholds: [3],
    });
    const row = (at: number): number[] =>
      [...detector.conv1_weight.data].slice(at * (11 + values) + 11, (at + 1) * (11 + values)).map(Number);
    expect([...tensors.conv1_weight.data]).toEqual([0, 1, 2, 3, 4].flatMap(row));
    expect([...tensors.feature_mean.data]).toEqual([...detector.feature_mean.data].slice(11));
  });
});
