import { describe, expect, it } from "vitest";
import type { SiteDescription } from "../shared/patched-model.ts";
import { float32, int32, type Tensor } from "../shared/tensor.ts";
import { firstSites, lateSamples, runRechecked, type Pass, type PassFeeds } from "./recheck.ts";

const bool = (shape: readonly number[], data: readonly number[]): Tensor => ({
  datatype: "BOOL",
  shape,
  data: Uint8Array.from(data),
});

const feeds = (x: Tensor, modes: readonly number[], force: PassFeeds["force"] = {}): PassFeeds => ({
  batch: modes.length,
  inputs: { x },
  modes: int32([modes.length], modes),
  force,
  report: [],
  attention: true,
});

/** Columns above 10 are found at site 0, above 5 at site 1; y = x unless the column is repaired from site 0 on. */
function toyPass(calls: PassFeeds[], extra: Readonly<Record<string, Tensor>> = {}) {
  return (given: PassFeeds): Promise<Pass> => {
    calls.push(given);
    const x = given.inputs["x"]!;
    const keys = x.shape[1]!;
    const firstSite = new Int32Array(x.data.length);
    const score = new Float32Array(x.data.length);
    const y = new Float32Array(x.data.length);
    for (let at = 0; at < y.length; at++) {
      const value = Number(x.data[at]);
      const forced = given.force[0];
      const isForced =
        forced !== undefined && forced.data[forced.shape[1] === 1 ? Math.floor(at / keys) : at] !== 0;
      firstSite[at] = isForced || value > 10 ? 1 : value > 5 ? 2 : 0;
      score[at] = value > 5 && !isForced ? value : 0;
      y[at] = firstSite[at] === 1 ? 0 : value;
    }
    const outputs = { y: { datatype: "FP32", shape: x.shape, data: y } satisfies Tensor, ...extra };
    return Promise.resolve({ outputs, flags: [{ keys, firstSite, score }], reports: [] });
  };
}

const flags = (keys: number, ...sites: number[]) => ({
  keys,
  firstSite: Int32Array.from(sites),
  score: new Float32Array(sites.length),
});

describe("lateSamples", () => {
  const x = float32([2, 2], [0, 0, 0, 0]);

  it("takes a sample whose earliest flag is behind the first site, and no other", () => {
    expect(lateSamples(feeds(x, [2, 2]), [flags(2, 0, 3, 0, 0)], [0])).toEqual([0]);
    expect(lateSamples(feeds(x, [2, 2]), [flags(2, 1, 3, 0, 2)], [0])).toEqual([1]);
    expect(lateSamples(feeds(x, [2, 2]), [flags(2, 1, 0, 0, 0)], [0])).toEqual([]);
  });

  it("leaves samples alone that are not enforced", () => {
    expect(lateSamples(feeds(x, [1, 0]), [flags(2, 0, 3, 0, 3)], [0])).toEqual([]);
  });

  it("measures from the first site of each axis", () => {
    const onAxes = [flags(2, 0, 0, 0, 0), flags(2, 4, 0, 0, 5)];
    expect(lateSamples(feeds(x, [2, 2]), onAxes, [0, 3])).toEqual([1]);
  });

  it("does not let a forced column hide a late find", () => {
    const forced = { 0: bool([2, 2], [1, 0, 0, 0]) };
    expect(lateSamples(feeds(x, [2, 2], forced), [flags(2, 1, 3, 0, 0)], [0])).toEqual([0]);
    expect(lateSamples(feeds(x, [2, 2], forced), [flags(2, 1, 0, 0, 0)], [0])).toEqual([]);
  });
});

describe("runRechecked", () => {
  const x = float32([3, 2], [1, 6, 11, 6, 7, 1]);

  it("runs once when nothing came late", async () => {
    const calls: PassFeeds[] = [];
    const result = await runRechecked(toyPass(calls), feeds(float32([1, 2], [1, 11]), [2]), [0]);
    expect(calls).toHaveLength(1);
    expect(result.rechecked).toEqual([]);
  });

  it("runs the late samples once more, forced, and replaces their outputs only", async () => {
    const calls: PassFeeds[] = [];
    const result = await runRechecked(toyPass(calls), feeds(x, [2, 2, 2]), [0]);
    expect(calls).toHaveLength(2);
    expect([...calls[1]!.inputs["x"]!.data]).toEqual([1, 6, 7, 1]);
    expect(calls[1]!.force[0]).toEqual(bool([2, 2], [0, 1, 1, 0]));
    expect([...result.outputs["y"]!.data]).toEqual([1, 0, 0, 6, 0, 1]);
    expect(result.rechecked).toHaveLength(2);
  });

  it("tells where a column was found first, not where the second pass forced it", async () => {
    const result = await runRechecked(toyPass([]), feeds(x, [2, 2, 2]), [0]);
    expect([...result.flags[0]!.firstSite]).toEqual([0, 2, 1, 2, 2, 0]);
    expect([...result.flags[0]!.score]).toEqual([0, 6, 11, 6, 7, 0]);
  });

  it("adds columns that only the second pass found", async () => {
    const seen: PassFeeds[] = [];
    const pass = toyPass(seen);
    const result = await runRechecked(
      async (given) => {
        const made = await pass(given);
        if (seen.length === 2) {
          made.flags[0]!.firstSite[1] = 2;
          made.flags[0]!.score[1] = 9;
        }
        return made;
      },
      feeds(float32([2, 2], [11, 1, 6, 1]), [2, 2]),
      [0],
    );
    expect([...result.flags[0]!.firstSite]).toEqual([1, 0, 2, 2]);
    expect([...result.flags[0]!.score]).toEqual([11, 0, 6, 9]);
    expect(seen).toHaveLength(2);
  });

  it("keeps what the request forced, one column for all keys included", async () => {
    const calls: PassFeeds[] = [];
    const forced = { 0: bool([3, 2], [1, 0, 0, 0, 0, 0]) };
    await runRechecked(toyPass(calls), feeds(x, [2, 2, 2], forced), [0]);
    expect(calls[1]!.force[0]).toEqual(bool([2, 2], [1, 1, 1, 0]));
  });

  it("runs the whole batch again, other samples as they were, when an output has no samples", async () => {
    const calls: PassFeeds[] = [];
    const result = await runRechecked(
      toyPass(calls, { total: float32([1], [0]) }),
      feeds(x, [2, 2, 2], { 0: bool([3, 2], [0, 0, 0, 1, 0, 0]) }),
      [0],
    );
    expect(calls[1]!.batch).toBe(3);
    expect(calls[1]!.force[0]).toEqual(bool([3, 2], [0, 1, 0, 1, 1, 0]));
    expect([...result.outputs["y"]!.data]).toEqual([1, 0, 0, 0, 0, 1]);
    expect(result.rechecked).toHaveLength(2);
  });
});

const site = (index: number, axis: number) => ({ index, axis }) as SiteDescription;

describe("firstSites", () => {
  it("finds the least site index of every axis", () => {
    expect(firstSites([site(0, 0), site(1, 1), site(2, 0), site(3, 1)], 2)).toEqual([0, 1]);
  });
});
