import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { HistoryEntry, SampleAttention } from "./api-types.ts";
import { fullStrength, massesOf, strength } from "./attention.ts";
import { ApiFailure, describeFailure } from "./failures.ts";
import { ago, bytes, count, duration, percent, plural, shortId } from "./format.ts";
import { changedText } from "./history-text.ts";
import { fractionOf, stageIndex, stages } from "./repair-stages.ts";
import { goldenLines, reportLines, verdictOf } from "./report.ts";
import { areaPath, linePath, niceTop, Series, type Frame } from "./series.ts";

describe("words for figures", () => {
  it("are short and say when there is nothing to say", () => {
    expect([percent(0.1234), percent(null), percent(1, 0)]).toEqual(["12.3 %", "–", "100 %"]);
    expect([count(9999), count(12_345), count(2_500_000)]).toEqual(["9,999", "12.3 k", "2.5 M"]);
    expect([duration(0.0012), duration(0.25), duration(1.234), duration(null)]).toEqual([
      "1.2 ms",
      "250 ms",
      "1.23 s",
      "–",
    ]);
    expect([bytes(12), bytes(2048), bytes(3 * 2 ** 20)]).toEqual(["12 B", "2.0 KiB", "3.0 MiB"]);
    expect([shortId(`sha256-${"ab".repeat(32)}`), shortId(null)]).toEqual(["abababab", "none"]);
    expect([3, 30, 300, 7200, 200_000].map((s) => ago(0, s * 1000))).toEqual([
      "just now",
      "30 s ago",
      "5 min ago",
      "2 h ago",
      "2 d ago",
    ]);
    expect([plural(1, "sample"), plural(2, "sample")]).toEqual(["1 sample", "2 samples"]);
  });

  it("say what to do about a failure", () => {
    const failure = new ApiFailure("revision: expected 7, it is 8", "ATPATCH_REVISION_MISMATCH", 412);
    expect(describeFailure(failure)).toEqual({
      what: "Revision: expected 7, it is 8.",
      todo: expect.stringContaining("Somebody changed"),
    });
    expect(describeFailure(new Error("No way!"))).toEqual({ what: "No way!", todo: null });
  });
});

describe("attention to be drawn", () => {
  const place = { token: "a", start: 0, end: 1 };
  const attention: SampleAttention = {
    places: [null, place, place],
    sites: [
      { site: 0, before: [0.5, 0.2, 0.3], after: [0.6, 0.2, 0.2] },
      { site: 1, before: [0.1, 0.8, 0.1], after: [0.5, 0.25, 0.25] },
    ],
  };

  it("is that of one site or the mean, at the strength of the largest place that was sent", () => {
    expect(massesOf(attention, "before", 1)).toEqual([0.1, 0.8, 0.1]);
    expect(massesOf(attention, "before", null)).toEqual([0.3, 0.5, 0.2]);
    const maps = [
      [attention, "before"],
      [attention, "after"],
    ] as const;
    expect(fullStrength(maps, 1)).toBe(0.8);
    expect(fullStrength(maps, 0)).toBe(0.3);
    expect([strength(0.8, 0.8), strength(0.2, 0.8), strength(0, 0.8), strength(2, 0.8)]).toEqual([
      1, 0.5, 0, 1,
    ]);
  });
});

describe("charts", () => {
  const frame: Frame = { from: 0, to: 100, top: 1, width: 50, height: 10 };

  it("leave gaps where nothing was measured", () => {
    const points = [
      { at: 0, value: 0 },
      { at: 50, value: 1 },
      { at: 60, value: null },
      { at: 80, value: 0.5 },
      { at: 100, value: 0.5 },
    ];
    expect(linePath(points, frame)).toBe("M0 10L25 0M40 5L50 5");
    expect(areaPath(points, frame)).toBe("M0 10L25 0L25 10L0 10ZM40 5L50 5L50 10L40 10Z");
  });

  it("stay within their frame whatever comes in", () => {
    const value = fc.option(fc.double({ min: 0, max: 1e6, noNaN: true }));
    fc.assert(
      fc.property(fc.array(value, { minLength: 1 }), (values) => {
        const series = new Series(1000);
        values.forEach((each, i) => series.add({ at: i * 50, value: each }));
        const { points } = series;
        expect(points.length).toBeLessThanOrEqual(20);
        const top = niceTop(points, 0.05);
        expect(top).toBeGreaterThanOrEqual(Math.max(0.05, ...points.map((point) => point.value ?? 0)) * 0.99);
        const to = points.at(-1)!.at;
        const numbers = linePath(points, { ...frame, from: to - 1000, to, top }).match(/-?[\d.e+-]+/g) ?? [];
        for (let i = 0; i < numbers.length; i += 2) {
          expect(Number(numbers[i])).toBeGreaterThanOrEqual(0);
          expect(Number(numbers[i])).toBeLessThanOrEqual(frame.width);
          expect(Number(numbers[i + 1])).toBeGreaterThanOrEqual(0);
          expect(Number(numbers[i + 1])).toBeLessThanOrEqual(frame.height);
        }
      }),
    );
  });
});

describe("reports", () => {
  it("show the figures that are there and pass over the others", () => {
    const rate = { value: 0.97, low: 0.92, high: 0.99 };
    const metadata = {
      detectionSites: [0, 2],
      report: { verdict: "trigger", held_out: { repaired: rate, flag_rate: { value: null } } },
    };
    expect(reportLines(metadata)).toEqual([
      { name: "Failures repaired, not seen in the fit", value: "97.0 %", range: "92–99 %" },
      { name: "Detects at sites", value: "0, 2", range: null },
    ]);
    expect(verdictOf(metadata)).toBe("A trigger, and the detector finds it");
    expect([reportLines({}), verdictOf({}), goldenLines(null)]).toEqual([[], null, []]);
    expect(goldenLines({ golden: { flag_rate: 0.01, reason: "x" } })).toHaveLength(1);
  });

  it("know the stages of a repair by what the server calls them", () => {
    const told = [
      "collecting",
      "averaging",
      "localising",
      "choosing: site 0, kernel 3",
      "fitting",
      "checking",
      "storing",
    ];
    expect(told.map(stageIndex)).toEqual(stages.map((_, i) => i));
    expect(stageIndex("starting")).toBe(-1);
    expect(fractionOf("starting", 0, 0)).toBe(0);
    const rising = told.flatMap((stage) => [fractionOf(stage, 0, 4), fractionOf(stage, 3, 4)]);
    expect(rising).toEqual([...rising].sort((a, b) => a - b));
  });

  it("tell a change of the policy by what has changed", () => {
    const policy = { mode: "enforce", onError: "open", shadow: null, canary: null, guard: null } as const;
    const entry = {
      action: "policy",
      detector: null,
      before: { active: null, policy },
    } as unknown as HistoryEntry;
    const changed = (patch: object): string =>
      changedText({ ...entry, after: { active: null, policy: { ...policy, ...patch } } });
    expect(changed({ mode: "observe", onError: "closed" })).toBe("mode enforce → observe, on error closed");
    expect(changed({ guard: { window_s: 60, max_trigger_rate: 0.2 } })).toBe("guard at 20 % in 60 s");
    const id = `sha256-${"cd".repeat(32)}`;
    expect(changed({ shadow: id, canary: { detector: id, percent: 5 } })).toBe(
      "shadow cdcdcdcd, canary cdcdcdcd at 5 %",
    );
  });
});
