import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { FlightRecorder, type RecorderSettings } from "./recorder.ts";
import type { Recording } from "./recording.ts";

const limits: RecorderSettings = { mode: "inputs", samples: 5, bytes: 2 ** 20, ageMs: 1000 };

function recording(request: string, instance: unknown = request, sample = 0): Recording {
  return {
    request,
    sample,
    label: "calm",
    index: 0,
    score: 0.9,
    probabilities: { calm: 0.9 },
    mode: "enforce",
    detector: null,
    triggered: true,
    columns: [{ index: 3, score: 0.9, sites: [0], at: { token: "secret", start: 0, end: 6 } }],
    features: [],
    instance,
  };
}

const mark = { set: "failing", label: 1, by: "ann", at: "2026-01-01T00:00:00.000Z" } as const;

describe("the flight recorder", () => {
  it("keeps the newest within its limits, marked samples longest, whatever is done in which order", () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant("record" as const), id: fc.nat(9), size: fc.nat(300) }),
      fc.record({ do: fc.constant("mark" as const), id: fc.nat(9), size: fc.constant(0) }),
      fc.record({ do: fc.constant("unmark" as const), id: fc.nat(9), size: fc.constant(0) }),
      fc.record({ do: fc.constant("wait" as const), id: fc.constant(0), size: fc.nat(800) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.constantFrom(4000, 2 ** 20), (steps, bytes) => {
        let now = 0;
        const recorder = new FlightRecorder({ ...limits, bytes }, () => now);
        // A plain list as the reference: unmarked before marked, each in order; the first goes first.
        let kept: { id: string; at: number; marked: boolean }[] = [];
        for (const { do: what, id: number, size } of steps) {
          const id = `r${number}`;
          const known = kept.find((entry) => entry.id === id);
          if (what === "wait") now += size;
          kept = kept.filter(({ at }) => at >= now - limits.ageMs);
          if (what === "record") {
            recorder.all();
            recorder.record(recording(id, "x".repeat(size)));
            if (known?.marked !== true || !kept.includes(known)) {
              kept = [...kept.filter((entry) => entry.id !== id), { id, at: now, marked: false }];
            }
          } else if (what !== "wait") {
            const found = recorder.find(id, 0);
            expect(found !== null || bytes < 2 ** 20 || known === undefined || !kept.includes(known)).toBe(
              true,
            );
            if (found === null) continue;
            recorder.mark(found, what === "mark" ? mark : null);
            const entry = kept.find((other) => other.id === id)!;
            kept = [...kept.filter((other) => other !== entry), { ...entry, marked: what === "mark" }];
          }
          while (kept.length > limits.samples) {
            const first = kept.find((entry) => !entry.marked) ?? kept[0]!;
            kept = kept.filter((entry) => entry !== first);
          }
          const ids = recorder.all().map(({ request }) => request);
          if (bytes === 2 ** 20) expect(ids.sort()).toEqual(kept.map((entry) => entry.id).sort());
          const { state } = recorder;
          expect(state.samples).toBe(ids.length);
          expect(state.samples).toBeLessThanOrEqual(limits.samples);
          expect(state.bytes).toBeLessThanOrEqual(bytes);
          expect(state.marked).toBe(recorder.all().filter((sample) => sample.mark !== null).length);
          if (ids.length === 0) expect(state.bytes).toBe(0);
        }
        recorder.close();
      }),
    );
  });

  it("records nothing when it is off, and nothing that quotes the input unless it is told to", () => {
    const off = new FlightRecorder({ ...limits, mode: "off" });
    off.record(recording("a"));
    expect(off.records).toBe(false);
    expect(off.all()).toEqual([]);

    const features = new FlightRecorder({ ...limits, mode: "features" });
    features.record(recording("a", "a secret text"));
    expect(features.all()).toHaveLength(1);
    expect(JSON.stringify(features.all())).not.toContain("secret");
    features.close();

    const inputs = new FlightRecorder(limits);
    inputs.record(recording("a", "a secret text"));
    expect(inputs.find("a", 0)?.instance?.toString()).toBe('"a secret text"');
    inputs.close();
  });

  it("does not let a request wash the mark of another with its id away", () => {
    const recorder = new FlightRecorder(limits);
    recorder.record(recording("a", "first"));
    recorder.mark(recorder.find("a", 0)!, mark);
    recorder.record(recording("a", "second"));
    expect(recorder.find("a", 0)).toMatchObject({ mark, instance: Buffer.from('"first"') });
    expect(recorder.all()).toHaveLength(1);
    recorder.close();
  });

  it("leaves an instance away that would take most of the memory", () => {
    const recorder = new FlightRecorder({ ...limits, bytes: 2 ** 16 });
    recorder.record(recording("large", "x".repeat(2 ** 14)));
    expect(recorder.find("large", 0)).toMatchObject({ instance: null });
    recorder.close();
  });

  it("forgets what is too old although nobody looks", () => {
    vi.useFakeTimers();
    let now = 0;
    const recorder = new FlightRecorder(limits, () => now);
    recorder.record(recording("a"));
    now = 2000;
    vi.advanceTimersByTime(2000);
    // Had it been kept until somebody looked, it would be young again.
    now = 0;
    expect(recorder.all()).toEqual([]);
    recorder.close();
    vi.useRealTimers();
  });
});
