import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { NumericDatatype } from "../shared/tensor.ts";
import { createClassScores } from "./class-scores.ts";
import { readNested } from "./nested.ts";
import { createTensorTask } from "./tensor.ts";
import type { Task } from "./task.ts";

const scores = createClassScores({ config: null, settings: {}, labels: null }, []);

function task(inputs: Record<string, [NumericDatatype, ...(number | null)[]]>, instanceLimit?: number): Task {
  return createTensorTask({
    inputs: Object.entries(inputs).map(([name, [datatype, ...shape]]) => ({ name, datatype, shape })),
    scores,
    layout: { kind: "sequence", firstKey: 1 },
    instanceLimit,
  });
}

async function faultOf(one: Task, instances: readonly unknown[]): Promise<string> {
  try {
    await one.prepare(instances);
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return `${code} ${message}`;
  }
  return "none";
}

const nest = (flat: readonly number[], shape: readonly number[]): unknown => {
  const [length, ...inner] = shape;
  if (length === undefined) return flat[0];
  const size = flat.length / length;
  return Array.from({ length }, (_, i) => nest(flat.slice(i * size, (i + 1) * size), inner));
};
const anyShape = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 0, maxLength: 4 });

describe("readNested", () => {
  it("reads row-major whatever the shape", () => {
    fc.assert(
      fc.property(anyShape, fc.func(fc.boolean()), (shape, varies) => {
        const flat = Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i - 3);
        const expected = shape.map((dim, axis) => (varies(axis) ? null : dim));
        const read = readNested("x", nest(flat, shape), "INT32", expected);
        expect(read).toEqual({ shape, data: Int32Array.from(flat) });
      }),
    );
  });

  it("finds the one list or number that is out of line", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 2, max: 4 }), { minLength: 2, maxLength: 4 }),
        fc.constantFrom("longer", "shorter", "number", "list"),
        fc.nat(),
        (shape, how, seed) => {
          const flat = Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => 1);
          const value = nest(flat, shape);
          // Walks to a list of numbers that is not on the path of first elements, which defines the shape.
          let list = value as unknown[];
          let path = "";
          for (let axis = 0; axis < shape.length - 1; axis++) {
            const index = axis === 0 ? 1 + (seed % (list.length - 1)) : seed % list.length;
            path += `[${index}]`;
            list = list[index] as unknown[];
          }
          if (how === "longer") list.push(1);
          if (how === "shorter") list.pop();
          if (how === "list") list[0] = [1];
          if (how === "number") list[0] = "1";
          expect(() => readNested("x", value, "FP32", shape)).toThrow(`x${path}`);
        },
      ),
    );
  });
});

describe("createTensorTask", () => {
  it("takes nested numbers for one input, by name for several, in the input's datatype", async () => {
    const one = await task({ x: ["FP32", null, 2] }).prepare([
      [1, 2],
      [3, 4.5],
    ]);
    expect(one.batch).toBe(2);
    expect(one.inputs).toEqual({
      x: { datatype: "FP32", shape: [2, 2], data: Float32Array.of(1, 2, 3, 4.5) },
    });
    expect(one.locate(0, 1)).toBeNull();
    const several = await task({
      ids: ["INT64", null, null],
      mask: ["BOOL", null, null],
      z: ["FP16", null],
    }).prepare([{ ids: [1, 2, 3], mask: [true, 1, false], z: 0.5 }]);
    expect(several.inputs).toEqual({
      ids: { datatype: "INT64", shape: [1, 3], data: BigInt64Array.of(1n, 2n, 3n) },
      mask: { datatype: "BOOL", shape: [1, 3], data: Uint8Array.of(1, 1, 0) },
      z: { datatype: "FP16", shape: [1], data: Uint16Array.of(0x3800) },
    });
    const named = await task({ x: ["FP32", null, 1] }).prepare([{ x: [7] }]);
    expect(named.inputs.x?.data).toEqual(Float32Array.of(7));
  });

  const pair = task({ x: ["FP32", null, 2, 2], n: ["INT32", null] });
  const x = [
    [1, 2],
    [3, 4],
  ];
  it.each([
    [task({ x: ["FP32", null, 2] }), [], "ATPATCH_BAD_INPUT instances: expected at least one instance"],
    [pair, [x], "ATPATCH_BAD_INPUT instances[0]: expected an object with the inputs x, n"],
    [pair, [{ x }], "ATPATCH_BAD_INPUT instances[0]: n is missing (inputs: x, n)"],
    [pair, [{ x, n: 1, m: 2 }], "ATPATCH_BAD_INPUT instances[0]: m is no input of the model (inputs: x, n)"],
    [
      pair,
      [
        { x, n: 1 },
        { x, n: 1.5 },
      ],
      "ATPATCH_BAD_INPUT instances[1].n: expected a whole number from -2147483648 to 2147483647, got 1.5",
    ],
    [
      pair,
      [{ x, n: null }],
      "ATPATCH_BAD_INPUT instances[0].n: expected a whole number from -2147483648 to 2147483647, got null (JSON has no NaN)",
    ],
    [
      pair,
      [
        {
          x: [
            [1, 2],
            [3, NaN],
          ],
          n: 1,
        },
      ],
      "ATPATCH_BAD_INPUT instances[0].x[1][1]: expected a finite number that fits FP32, got NaN",
    ],
    [
      pair,
      [{ x: [[1, 2], [3]], n: 1 }],
      "ATPATCH_BAD_INPUT instances[0].x[1]: ragged lists: expected a list of 2 as before, got a list of 1",
    ],
    [
      pair,
      [{ x: [[1, 2], 3], n: 1 }],
      "ATPATCH_BAD_INPUT instances[0].x[1]: ragged lists: expected a list of 2 as before, got 3",
    ],
    [
      pair,
      [
        {
          x: [
            [1, 2],
            [3, [4]],
          ],
          n: 1,
        },
      ],
      "ATPATCH_BAD_INPUT instances[0].x[1][1]: expected a finite number that fits FP32, got a list",
    ],
    [
      pair,
      [{ x: [1, 2], n: 1 }],
      "ATPATCH_UNPROCESSABLE instances[0].x: has shape [2], the model takes [2, 2]",
    ],
    [pair, [{ x: [], n: 1 }], "ATPATCH_UNPROCESSABLE instances[0].x: has shape [0], the model takes [2, 2]"],
    [
      task({ x: ["FP32", null, null] }),
      [[1], [1, 2]],
      "ATPATCH_UNPROCESSABLE instances[1]: has shape [2], instances[0] has [1]: samples of one request need one shape",
    ],
    [
      task({ x: ["FP32", 1, 2] }),
      [
        [1, 2],
        [1, 2],
      ],
      "ATPATCH_UNPROCESSABLE instances: the model takes exactly 1 at once, got 2",
    ],
    [
      task({ x: ["FP32", null, 1] }, 1),
      [[1], [1]],
      "ATPATCH_UNPROCESSABLE instances: at most 1 at once, got 2",
    ],
    [
      task({ x: ["FP32"] }),
      [1],
      'ATPATCH_UNPROCESSABLE instances: the model\'s input "x" has no batch dimension',
    ],
  ])("names sample and place: %#", async (one, instances, fault) => {
    expect(await faultOf(one, instances)).toBe(fault);
  });

  it("does not allocate what ragged lists only pretend to hold", async () => {
    const wide = Array.from({ length: 100_000 }, () => 0);
    const instance = [wide, ...Array.from({ length: 100_000 }, () => [])];
    expect(await faultOf(task({ x: ["FP32", null, null, null] }), [instance])).toContain(
      "instances[0][1]: ragged lists: expected a list of 100000 as before, got a list of 0",
    );
  });
});
