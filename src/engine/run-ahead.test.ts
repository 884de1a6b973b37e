import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RunAhead } from "./run-ahead.ts";

describe("RunAhead", () => {
  let offered: [worker: string, at: number][];
  let ahead: RunAhead<string>;
  beforeEach(() => {
    vi.useFakeTimers();
    const began = Date.now();
    offered = [];
    ahead = new RunAhead((worker) => offered.push([worker, Date.now() - began]));
  });
  afterEach(() => vi.useRealTimers());

  it("offers a worker shortly before its only run is expected to end, once", () => {
    ahead.begin("a", 20);
    ahead.begin("b", 10);
    vi.advanceTimersByTime(100);
    expect(offered).toEqual([
      ["b", 8],
      ["a", 16],
    ]);
    expect(ahead.end("a")).toBe(true);
    expect(ahead.end("a")).toBe(true);
  });

  it("times a run that waited for another from that one's end", () => {
    ahead.begin("a", 20);
    vi.advanceTimersByTime(19);
    ahead.begin("a", 10);
    vi.advanceTimersByTime(11); // 30
    expect(offered).toEqual([["a", 16]]);
    expect(ahead.end("a")).toBe(false);
    vi.advanceTimersByTime(100);
    expect(offered[1]).toEqual(["a", 38]);
    expect(ahead.end("a")).toBe(true);
  });

  it("offers none with two runs, with a short one or one of unknown length, after its end or when the worker is gone", () => {
    ahead.begin("two", 20);
    ahead.begin("two", 20);
    ahead.begin("short", 2);
    ahead.begin("unknown", undefined);
    ahead.begin("ended", 20);
    ahead.end("ended");
    ahead.begin("gone", 20);
    ahead.forget("gone");
    vi.advanceTimersByTime(100);
    expect(offered).toEqual([]);
  });
});
