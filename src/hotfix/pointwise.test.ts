import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { float32 } from "../shared/tensor.ts";
import { opCase, opCaseShape, plainShape } from "../test/op-cases.ts";
import {
  expectClose,
  fitting,
  floatsOf,
  hasPointwiseForm,
  intsOf,
  kinds,
  loadOpSessions,
  opsets,
  reference,
  runOp,
  runs,
  undecided,
} from "../test/op-run.ts";

beforeAll(loadOpSessions);

describe("the pointwise form of a detector", () => {
  it("finds and repairs what its stacked form does", async () => {
    let flagged = 0;
    await fc.assert(
      fc.asyncProperty(opCaseShape, kinds, fc.constantFrom(...opsets), async (shape, kind, opset) => {
        const c = opCase({ ...fitting(shape, kind), pointwise: true, detects: true }, { flagShare: 0.1 });
        expect(hasPointwiseForm(c)).toBe(true);
        fc.pre(!undecided(c, reference(c, kind).logits));
        const [stacked, pointwise] = [
          await runOp(c, kind, opset, false, false),
          await runOp(c, kind, opset, false, true),
        ];
        for (const name of ["flags_out", "map_flags_out"])
          expect([...intsOf(pointwise, name)]).toEqual([...intsOf(stacked, name)]);
        for (const name of ["product", "map_out", "value_out"])
          expectClose(floatsOf(pointwise, name), floatsOf(stacked, name), 1e-5);
        for (const name of ["scores_out", "map_scores_out"])
          expectClose(floatsOf(pointwise, name), floatsOf(stacked, name), 1e-4);
        flagged += intsOf(pointwise, "flags_out").filter((flag, k) => flag > 0 && c.flags[k] === 0).length;
      }),
      runs,
    );
    expect(flagged).toBeGreaterThan(50);
  });

  it("flags in every sample whatever another one holds", async () => {
    let flagged = 0;
    await fc.assert(
      fc.asyncProperty(opCaseShape, fc.constantFrom(...opsets), async (shape, opset) => {
        const c = opCase({ ...shape, batch: 3, mask: "none", pointwise: true, detects: true });
        const thresholds = float32([1, 2], [-0.5, -0.5]);
        const open = { ...c, modes: Int32Array.of(1, 1, 1), detector: { ...c.detector, thresholds } };
        const keys = c.map.shape[3] ?? 0;
        const own = (flags: Int32Array): number[] => [...flags.subarray(keys, 2 * keys)];
        const expected = own(intsOf(await runOp(open, "self", opset), "flags_out"));
        for (const number of [NaN, Infinity, -Infinity]) {
          const value = Float32Array.from(c.value.data as Float32Array);
          const size = value.length / 3;
          value.fill(number, 0, size).fill(number, 2 * size);
          const out = await runOp({ ...open, value: { ...c.value, data: value } }, "self", opset);
          expect(own(intsOf(out, "flags_out"))).toEqual(expected);
        }
        flagged += expected.filter((flag) => flag > 0).length;
      }),
      { ...runs, numRuns: 60 },
    );
    expect(flagged).toBeGreaterThan(20);
  });

  it("tells logits as they are, however far the gate is from them", async () => {
    const c = opCase({ ...plainShape, seed: 4, batch: 2, keys: 6, depth: 3, ratio: true, pointwise: true });
    const always = { ...c.detector, thresholds: float32([1, 2], [-1e9, -1e9]) };
    const open = { ...c, modes: Int32Array.of(1, 2), detector: always };
    const [stacked, pointwise] = [
      await runOp(open, "self", 17, false, false),
      await runOp(open, "self", 17, false, true),
    ];
    expect(intsOf(pointwise, "flags_out").some((flag) => flag > 0)).toBe(true);
    expectClose(floatsOf(pointwise, "scores_out"), floatsOf(stacked, "scores_out"), 1e-5);
  });

  it("reports the visible keys and the values of every key", async () => {
    await fc.assert(
      fc.asyncProperty(opCaseShape, kinds, fc.constantFrom(...opsets), async (shape, kind, opset) => {
        const c = opCase({ ...fitting(shape, kind), pointwise: true, detects: true });
        const [batch = 0, heads = 0, keys = 0, depth = 0] = c.value.shape;
        const out = await runOp(c, kind, opset, false, true);
        const visible = [...floatsOf(out, "features")].map((largest) => largest > 0);
        expect(visible).toEqual(reference(c, kind).visible.flat());
        const from = c.value.data as Float32Array;
        const expected = Array.from({ length: from.length }, (_, at) => {
          const [row, i] = [Math.floor(at / (heads * depth)), at % (heads * depth)];
          const [b, key, head] = [Math.floor(row / keys), row % keys, Math.floor(i / depth)];
          return from[((b * heads + head) * keys + key) * depth + (i % depth)];
        });
        expect([...floatsOf(out, "values")]).toEqual(expected);
        expect(out["values"]?.dims).toEqual([batch * keys, heads * depth]);
      }),
      { ...runs, numRuns: 60 },
    );
  });
});
