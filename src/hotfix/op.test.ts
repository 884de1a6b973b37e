import fc from "fast-check";
import * as ort from "onnxruntime-node";
import { beforeAll, describe, expect, it } from "vitest";
import { detectorTensorNames } from "../shared/detector-tensors.ts";
import type { Tensor } from "../shared/tensor.ts";
import { opCase, opCaseShape, type OpCase, type OpCaseShape } from "../test/op-cases.ts";
import { opModel } from "../test/op-model.ts";
import type { QueryPositions } from "./features.ts";
import { referenceOp } from "./reference/op.ts";

const opsets = [11, 13, 17, 18, 20];
const sessions = new Map<string, ort.InferenceSession>();

beforeAll(async () => {
  for (const opset of opsets) {
    for (const kind of ["self", "square", "cross"] as const) {
      sessions.set(
        `${kind}${opset}`,
        await ort.InferenceSession.create(opModel(opset, kind), { intraOpNumThreads: 1 }),
      );
    }
  }
});

const toOrt = (t: Tensor): ort.Tensor =>
  new ort.Tensor(t.datatype === "INT64" ? "int64" : "float32", t.data as Float32Array, t.shape);

async function run(c: OpCase, kind: QueryPositions, opset: number): Promise<Record<string, ort.Tensor>> {
  const [batch = 0] = c.map.shape;
  const keys = c.map.shape[3] ?? 0;
  const enforced = c.flags.some((flag, k) => flag > 0 && (c.modes[Math.floor(k / keys)] ?? 0) > 1);
  const feeds: Record<string, ort.Tensor> = {
    map: toOrt(c.map),
    value: toOrt(c.value),
    mode: new ort.Tensor("int32", c.modes, [batch]),
    flags: new ort.Tensor("int32", c.flags, [batch, keys]),
    scores: new ort.Tensor("float32", new Float32Array(batch * keys), [batch, keys]),
    repair: new ort.Tensor("bool", Uint8Array.of(enforced ? 1 : 0), []),
  };
  for (const name of detectorTensorNames) feeds[name] = toOrt(c.detector[name]);
  const session = sessions.get(`${kind}${opset}`);
  if (!session) throw new Error("no session");
  return session.run(feeds);
}

/** An output that must be there. */
function output(out: Record<string, ort.Tensor>, name: string): ort.Tensor {
  const found = out[name];
  if (!found) throw new Error(`the operator has no output ${name}`);
  return found;
}
const floatsOf = (out: Record<string, ort.Tensor>, name: string) => output(out, name).data as Float32Array;
const intsOf = (out: Record<string, ort.Tensor>, name: string) => output(out, name).data as Int32Array;

function reference(c: OpCase, kind: QueryPositions) {
  const scores = new Float64Array(c.flags.length);
  return referenceOp({ ...c, scores, site: 0, kind: kind === "cross" ? "cross" : "self" });
}

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    const e = expected[i] ?? NaN;
    expect(Math.abs((actual[i] ?? NaN) - e), `element ${i}: ${actual[i]} against ${e}`).toBeLessThanOrEqual(
      tolerance * Math.max(1, Math.abs(e)),
    );
  }
}

/** Whether some decision of the reference hangs on less than rounding: such cases prove nothing either way. */
function undecided(c: OpCase, logits: readonly number[][]): boolean {
  const [gate = 0, column = 0] = c.detector.thresholds.data as Float32Array;
  return logits.flat().some((s, i, all) => {
    const near = (x: number): boolean => Math.abs(s - x) < 1e-2;
    return near(gate) || near(column) || all.some((other, k) => k !== i && Math.abs(other - s) < 1e-3);
  });
}

const kinds = fc.constantFrom("self" as const, "square" as const, "cross" as const);
const runs = { numRuns: 150, seed: 20260107 };

/** The square form takes as many queries as keys. */
function fitting(shape: OpCaseShape, kind: QueryPositions): OpCaseShape {
  return kind === "square" ? { ...shape, extraQueries: 0 } : shape;
}

describe("AttentionPatch against its plain reference", () => {
  it("computes the same features", async () => {
    await fc.assert(
      fc.asyncProperty(opCaseShape, kinds, fc.constantFrom(...opsets), async (shape, kind, opset) => {
        const c = opCase(fitting(shape, kind));
        const out = await run(c, kind, opset);
        const expected = reference(c, kind);
        const keys = c.map.shape[3] ?? 0;
        const features = expected.features.flatMap((sample) =>
          Array.from({ length: keys }, (_, j) => sample.slice(0, 11).map((row) => row[j] ?? 0)).flat(),
        );
        const values = expected.features.flatMap((sample) =>
          Array.from({ length: keys }, (_, j) => sample.slice(11).map((row) => row[j] ?? 0)).flat(),
        );
        expectClose(floatsOf(out, "features"), features, 2e-3);
        expectClose(floatsOf(out, "values"), values, 0);
        expectClose(floatsOf(out, "visible"), expected.visible.flat().map(Number), 0);
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
        const out = await run(c, kind, opset);
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

describe("what a repaired map keeps", () => {
  it("keeps row sums, zeros and signs", async () => {
    await fc.assert(
      fc.asyncProperty(opCaseShape, kinds, fc.constantFrom(...opsets), async (shape, kind, opset) => {
        const c = opCase(fitting(shape, kind), { flagShare: 0.4 });
        const out = await run(c, kind, opset);
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
        const out = await run(c, kind, opset);
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
        const together = await run(c, kind, 17);
        const part = (t: Tensor): Tensor => {
          const size = t.data.length / 3;
          return { ...t, shape: [1, ...t.shape.slice(1)], data: t.data.slice(size, 2 * size) };
        };
        const keys = c.map.shape[3] ?? 0;
        const alone = await run(
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
        const [short, long] = [await run(c, "self", 17), await run(padded, "self", 17)];
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
