import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { float32, tensor } from "../shared/tensor.ts";
import type { RunRequest } from "./engine.ts";
import { mergeKey, mergeRequests, splitOutcome } from "./merge.ts";
import type { RunOutcome } from "./protocol.ts";

/** A request of `batch` samples [B, 2] whose values start at `from`. */
const request = (batch: number, from = 0, rest: Partial<RunRequest> = {}): RunRequest => ({
  inputs: {
    x: float32(
      [batch, 2],
      Array.from({ length: 2 * batch }, (_, i) => from + i),
    ),
  },
  batch,
  modes: new Int32Array(batch).fill(from % 3),
  detector: "d",
  ...rest,
});

const force = (batch: number, keys: number, value: number) => ({
  0: tensor("BOOL", [batch, keys], new Uint8Array(batch * keys).fill(value)),
});

/** What a model that gives back x and its sum would answer. */
function answer({ inputs, batch, modes }: RunRequest): RunOutcome {
  const data = inputs["x"]!.data as Float32Array;
  const sums = Float32Array.from({ length: batch }, (_, i) => data[2 * i]! + data[2 * i + 1]!);
  return {
    outputs: { x: inputs["x"]!, sum: float32([batch], sums) },
    flags: [{ keys: 2, firstSite: Int32Array.from(data), score: Float32Array.from(data) }],
    rechecked: [...modes.keys()].filter((sample) => data[2 * sample]! % 4 === 0),
    inferMs: 1,
    reports: [
      {
        site: 3,
        windows: 1,
        keys: 2,
        width: 13,
        features: Float32Array.from(
          { length: batch * 26 },
          (_, i) => data[2 * Math.floor(i / 26)]! + (i % 26),
        ),
      },
      {
        site: 4,
        windows: 1,
        keys: 2,
        width: 12,
        features: Float32Array.from(data, (x) => x + 100),
        largest: Float32Array.from(data, (x) => x + 200),
      },
    ],
  };
}

describe("merging requests", () => {
  it("answers each request as if it had been alone", () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(sizes, (batches) => {
        const requests = batches.map((batch, i) => request(batch, 10 * i));
        const merged = mergeRequests(requests);
        expect(merged.batch).toBe(batches.reduce((a, b) => a + b));
        const parts = splitOutcome(answer(merged), batches);
        expect(parts).toEqual(requests.map(answer));
      }),
    );
  });

  it("keeps modes and forced columns with their samples", () => {
    const merged = mergeRequests([
      request(1, 1, { force: force(1, 2, 0) }),
      request(2, 2, { force: force(2, 2, 1) }),
    ]);
    expect([...merged.modes]).toEqual([1, 2, 2]);
    expect(merged.force![0]).toEqual(tensor("BOOL", [3, 2], Uint8Array.of(0, 0, 1, 1, 1, 1)));
  });

  it("joins by detector, outputs, reports and the shape of a sample alone", () => {
    const key = mergeKey(request(1));
    expect(mergeKey(request(4, 7))).toBe(key);
    const others: RunRequest[] = [
      request(1, 0, { detector: null }),
      request(1, 0, { outputs: ["x"] }),
      request(1, 0, { report: [0] }),
      request(1, 0, { report: [0], attention: false }),
      request(1, 0, { force: force(1, 2, 0) }),
      request(1, 0, { inputs: { x: float32([1, 3], [1, 2, 3]) } }),
    ];
    expect(new Set([key, ...others.map(mergeKey)]).size).toBe(7);
  });

  it("divides no outcome with an output that does not count the samples", () => {
    const outcome = answer(request(4));
    const total = { ...outcome, outputs: { ...outcome.outputs, total: float32([1], [1]) } };
    expect(splitOutcome(total, [1, 3])).toBeNull();
  });
});
