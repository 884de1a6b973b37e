import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { placeFeatures } from "../shared/detector-tensors.ts";
import { opCase, opCaseShape } from "../test/op-cases.ts";
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
        const out = await runOp(c, kind, opset);
        const expected = reference(c, kind);
        const keys = c.map.shape[3] ?? 0;
        const features = expected.features.flatMap((sample) =>
          Array.from({ length: keys }, (_, j) => sample.map((row) => row[j] ?? 0)),
        );
        const width = features[0]?.length ?? 0;
        const actual = floatsOf(out, "features");
        features.forEach((row, column) => {
          const own = actual.subarray(column * width, (column + 1) * width);
          expectClose(own.subarray(0, 11), row.slice(0, 11), 2e-3);
          expect([...own.subarray(11)]).toEqual(row.slice(11));
          const seen = expected.visible[Math.floor(column / keys)]?.[column % keys];
          expect(placeFeatures.some((place) => (own[place] ?? 0) > 0)).toBe(seen);
        });
        expect(actual).toHaveLength(features.length * width);
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
        flagged += expected.flags.filter((f, k) => f > 0 && c.flags[k] === 0).length;
      }),
      { ...runs, numRuns: 300 },
    );
    expect(flagged).toBeGreaterThan(50);
  });
});
