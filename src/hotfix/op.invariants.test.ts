import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import type { Tensor } from "../shared/tensor.ts";
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

describe("what a repaired map keeps", () => {
  it("keeps row sums, zeros and signs", async () => {
    await fc.assert(
      fc.asyncProperty(opCaseShape, kinds, fc.constantFrom(...opsets), async (shape, kind, opset) => {
        const c = opCase(fitting(shape, kind), { flagShare: 0.4 });
        const out = await runOp(c, kind, opset);
        const keys = c.map.shape[3] ?? 0;
        const before = c.map.data as Float32Array;
        const after = floatsOf(out, "map_out");
        for (let row = 0; row < after.length / keys; row++) {
          const slice = (data: Float32Array): Float32Array => data.subarray(row * keys, (row + 1) * keys);
          const sum = (data: Float32Array): number => data.reduce((total, x) => total + x, 0);
          expect(Math.abs(sum(slice(after)) - sum(slice(before)))).toBeLessThan(1e-5);
          expect(Math.min(...slice(after))).toBeGreaterThanOrEqual(0);
        }
        const [, heads = 0, queries = 0] = c.map.shape;
        after.forEach((x, index) => {
          const [j, i, b] = [
            index % keys,
            Math.floor(index / keys) % queries,
            Math.floor(index / (keys * queries * heads)),
          ];
          const masked = Array.from(
            { length: heads },
            (_, h) => before[((b * heads + h) * queries + i) * keys + j],
          ).every((a) => a === 0);
          if (masked) expect(x).toBe(0);
        });
      }),
      runs,
    );
  });

  it("leaves unflagged, observed and switched-off samples bit-identical inside mixed batches", async () => {
    let repairedBeside = 0;
    await fc.assert(
      fc.asyncProperty(opCaseShape, kinds, fc.constantFrom(...opsets), async (shape, kind, opset) => {
        const c = opCase({ ...fitting(shape, kind), batch: 3 }, { flagShare: 0.1 });
        const out = await runOp(c, kind, opset);
        const keys = c.map.shape[3] ?? 0;
        const flags = intsOf(out, "flags_out");
        const size = c.map.data.length / 3;
        const valueSize = c.value.data.length / 3;
        const touched = [0, 1, 2].map(
          (b) => (c.modes[b] ?? 0) === 2 && flags.subarray(b * keys, (b + 1) * keys).some((f) => f > 0),
        );
        for (let b = 0; b < 3; b++) {
          if (touched[b]) continue;
          if (touched.includes(true)) repairedBeside++;
          const map = (data: Float32Array): Float32Array => data.subarray(b * size, (b + 1) * size);
          const value = (data: Float32Array): Float32Array =>
            data.subarray(b * valueSize, (b + 1) * valueSize);
          expect(map(floatsOf(out, "map_out"))).toEqual(map(c.map.data as Float32Array));
          expect(value(floatsOf(out, "value_out"))).toEqual(value(c.value.data as Float32Array));
        }
      }),
      runs,
    );
    expect(repairedBeside).toBeGreaterThan(20);
  });

  it("gives a sample the same result alone and beside others", async () => {
    await fc.assert(
      fc.asyncProperty(opCaseShape, kinds, async (shape, kind) => {
        const c = opCase({ ...fitting(shape, kind), batch: 3 }, { flagShare: 0.2 });
        fc.pre(!undecided(c, reference(c, kind).logits));
        const together = await runOp(c, kind, 17);
        const part = (t: Tensor): Tensor => {
          const size = t.data.length / 3;
          return { ...t, shape: [1, ...t.shape.slice(1)], data: t.data.slice(size, 2 * size) };
        };
        const keys = c.map.shape[3] ?? 0;
        const alone = await runOp(
          {
            ...c,
            map: part(c.map),
            value: part(c.value),
            modes: c.modes.slice(1, 2),
            flags: c.flags.slice(keys, 2 * keys),
          },
          kind,
          17,
        );
        for (const name of ["map_out", "value_out", "flags_out", "scores_out"]) {
          const all = floatsOf(together, name);
          const size = all.length / 3;
          expectClose(floatsOf(alone, name), all.subarray(size, 2 * size), 1e-6);
        }
      }),
      { ...runs, numRuns: 80 },
    );
  });

  it("does not change with padding behind the sample", async () => {
    await fc.assert(
      fc.asyncProperty(opCaseShape, fc.integer({ min: 1, max: 4 }), async (shape, padding) => {
        const c = opCase(
          { ...shape, batch: 1, mask: "none", extraQueries: 0, ratio: true },
          { flagShare: 0.2 },
        );
        fc.pre(!undecided(c, reference(c, "self").logits));
        const padded = pad(c, padding);
        const [short, long] = [await runOp(c, "self", 17), await runOp(padded, "self", 17)];
        const keys = c.map.shape[3] ?? 0;
        const flags = intsOf(long, "flags_out");
        expect([...flags.subarray(0, keys)]).toEqual([...intsOf(short, "flags_out")]);
        const heads = c.map.shape[1] ?? 0;
        const [narrow, wide] = [floatsOf(short, "map_out"), floatsOf(long, "map_out")];
        for (let h = 0; h < heads; h++) {
          for (let i = 0; i < keys; i++) {
            const from = (h * (keys + padding) + i) * (keys + padding);
            const row = narrow.subarray((h * keys + i) * keys, (h * keys + i + 1) * keys);
            expectClose(wide.subarray(from, from + keys), row, 1e-5);
          }
        }
      }),
      { ...runs, numRuns: 80 },
    );
  });
});

/** The same single sample with hidden keys and meaningless queries behind it. */
function pad(c: OpCase, padding: number): OpCase {
  const [, heads = 0, , keys = 0] = c.map.shape;
  const depth = c.value.shape[3] ?? 0;
  const length = keys + padding;
  const map = new Float32Array(heads * length * length);
  const value = new Float32Array(heads * length * depth).fill(7);
  for (let h = 0; h < heads; h++) {
    for (let i = 0; i < length; i++) {
      const source = (h * keys + Math.min(i, keys - 1)) * keys;
      map.set((c.map.data as Float32Array).subarray(source, source + keys), (h * length + i) * length);
    }
    value.set(
      (c.value.data as Float32Array).subarray(h * keys * depth, (h + 1) * keys * depth),
      h * length * depth,
    );
  }
  return {
    ...c,
    map: { ...c.map, shape: [1, heads, length, length], data: map },
    value: { ...c.value, shape: [1, heads, length, depth], data: value },
    flags: Int32Array.from({ length }, (_, j) => c.flags[j] ?? 0),
  };
}

describe("features of attention that nobody uses", () => {
  it("are left out, and nothing else changes by a bit", async () => {
    let flagged = 0;
    await fc.assert(
      fc.asyncProperty(opCaseShape, kinds, fc.constantFrom(...opsets), async (shape, kind, opset) => {
        const c = valuesOnly(opCase(fitting(shape, kind)));
        const keys = c.map.shape[3] ?? 0;
        const [whole, lean] = [
          await runOp(c, kind, opset, true, false),
          await runOp(c, kind, opset, false, false),
        ];
        for (const name of ["flags_out", "scores_out", "product", "map_out", "value_out"]) {
          expect([...floatsOf(lean, name)]).toEqual([...floatsOf(whole, name)]);
        }
        const size = (c.detector.feature_mean.shape[1] ?? 0) * keys;
        const all = floatsOf(whole, "features");
        floatsOf(lean, "features").forEach((x, at) => {
          const feature = Math.floor((at % size) / keys);
          const seen = [8, 9, 10].some((place) => all[at + (place - feature) * keys]! > 0);
          expect(x).toBe(feature < 10 ? 0 : feature === 10 ? Number(seen) : all[at]);
        });
        flagged += intsOf(lean, "flags_out").filter((site) => site > 0).length;
      }),
      runs,
    );
    expect(flagged).toBeGreaterThan(20);
  });
});

/** The case with a detector that scales attention features with 0. */
function valuesOnly(c: OpCase): OpCase {
  const { feature_scale: scale } = c.detector;
  const width = scale.shape[1] ?? 1;
  const data = (scale.data as Float32Array).map((x, at) => (at % width < 11 ? 0 : x));
  return { ...c, detector: { ...c.detector, feature_scale: { ...scale, data } } };
}
