import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import type { OpOutputs } from "./reference/op.ts";
import { opCase, opCaseShape, type OpCase } from "../test/op-cases.ts";
import {
  expectClose,
  fitting,
  floatsOf,
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

describe("AttentionPatch against its plain reference", () => {
  it("computes the same features", async () => {
    await fc.assert(
      fc.asyncProperty(opCaseShape, kinds, fc.constantFrom(...opsets), async (shape, kind, opset) => {
        const c = opCase(fitting(shape, kind));
        const out = await runOp(c, kind, opset, true, false);
        const expected = reference(c, kind);
        const keys = c.map.shape[3] ?? 0;
        const actual = floatsOf(out, "features");
        let at = 0;
        expected.features.forEach((sample, b) => {
          sample.forEach((row, feature) => {
            const own = actual.subarray(at, (at += keys));
            if (feature < 11) expectClose(own, row, 2e-3);
            else expect([...own]).toEqual(row);
          });
          const places = actual.subarray(at - sample.length * keys + 8 * keys, at);
          const seen = expected.visible[b]?.map((_, j) =>
            [0, 1, 2].some((row) => (places[row * keys + j] ?? 0) > 0),
          );
          expect(seen).toEqual(expected.visible[b]);
        });
        expect(actual).toHaveLength(at);
      }),
      runs,
    );
  });

  it("flags the same columns with the same scores and repairs the map alike", async () => {
    let flagged = 0;
    await fc.assert(
      fc.asyncProperty(opCaseShape, kinds, fc.constantFrom(...opsets), async (shape, kind, opset) => {
        const c = opCase(fitting(shape, kind), { flagShare: 0.15 });
        const expected = reference(c, kind);
        fc.pre(!undecided(c, expected.logits));
        const out = await runOp(c, kind, opset);
        expect([...intsOf(out, "flags_out")]).toEqual([...expected.flags]);
        expectClose(floatsOf(out, "scores_out"), expected.scores, 1e-2);
        expectClose(floatsOf(out, "map_out"), expected.map, 1e-5);
        expectClose(floatsOf(out, "value_out"), expected.value, 1e-6);
        expectClose(floatsOf(out, "product"), productOf(c, expected), 2e-5);
        for (const name of ["flags_out", "scores_out"])
          expect([...floatsOf(out, `map_${name}`)]).toEqual([...floatsOf(out, name)]);
        flagged += expected.flags.filter((f, k) => f > 0 && c.flags[k] === 0).length;
      }),
      { ...runs, numRuns: 400 },
    );
    expect(flagged).toBeGreaterThan(50);
  });
});

/** A'V' of the reference, [B,H,Tq,d] in double precision. */
function productOf({ map: { shape }, value }: OpCase, { map, value: values }: OpOutputs): number[] {
  const [batch = 0, heads = 0, queries = 0, keys = 0] = shape;
  const [, , , depth = 0] = value.shape;
  return Array.from({ length: batch * heads * queries * depth }, (_, at) => {
    const row = Math.floor(at / depth);
    const matrix = Math.floor(row / queries);
    let sum = 0;
    for (let j = 0; j < keys; j++)
      sum += (map[row * keys + j] ?? 0) * (values[(matrix * keys + j) * depth + (at % depth)] ?? 0);
    return sum;
  });
}
