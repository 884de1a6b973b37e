import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Histogram as Observed, Registry } from "prom-client";
import { histogramOf, quantileBetween } from "./metrics-text.ts";

const buckets = [0.001, 0.01, 0.1, 1];

async function exposed(values: readonly number[]): Promise<string> {
  const registry = new Registry();
  const histogram = new Observed({
    name: "stage_seconds",
    help: "x",
    labelNames: ["model", "stage"],
    buckets,
    registers: [registry],
  });
  histogram.observe({ model: 'od"d', stage: "infer" }, 5);
  for (const value of values) histogram.observe({ model: "m", stage: "infer" }, value);
  return registry.metrics();
}

describe("latency from the metrics", () => {
  it("reads the histogram of the labels asked for", async () => {
    const text = await exposed([0.0005, 0.05, 2]);
    expect(histogramOf(text, "stage_seconds", { model: "m", stage: "infer" })).toEqual({
      bounds: [...buckets, Infinity],
      counts: [1, 1, 2, 2, 3],
    });
    expect(histogramOf(text, "stage_seconds", { model: 'od"d' })?.counts.at(-1)).toBe(1);
    expect(histogramOf(text, "stage_seconds", { model: "other" })).toBeNull();
  });

  it("finds a quantile within the bucket that holds it, of what came since the last reading", async () => {
    const value = fc.double({ min: 0.0001, max: 0.9, noNaN: true });
    await fc.assert(
      fc.asyncProperty(
        fc.array(value),
        fc.array(value, { minLength: 1 }),
        fc.constantFrom(0.01, 0.5, 0.99),
        async (old, fresh, share) => {
          const labels = { model: "m", stage: "infer" };
          const before = histogramOf(await exposed(old), "stage_seconds", labels);
          const after = histogramOf(await exposed([...old, ...fresh]), "stage_seconds", labels)!;
          const found = quantileBetween(before, after, share)!;
          const exact = fresh.sort((a, b) => a - b)[Math.ceil(share * fresh.length) - 1]!;
          const at = buckets.findIndex((bound) => exact <= bound);
          expect(found).toBeGreaterThanOrEqual((buckets[at - 1] ?? 0) - 1e-12);
          expect(found).toBeLessThanOrEqual(buckets[at]! + 1e-12);
        },
      ),
      { numRuns: 40 },
    );
  });

  it("is interpolated between the bounds of the bucket", () => {
    const histogram = { bounds: [0.001, 0.01, Infinity], counts: [10, 20, 20] };
    expect(quantileBetween(null, histogram, 0.75)).toBeCloseTo(0.0055, 9);
    expect(quantileBetween({ ...histogram, counts: [10, 10, 10] }, histogram, 0.5)).toBeCloseTo(0.0055, 9);
  });

  it("says nothing when nothing came, and no more than the last bound beyond it", async () => {
    const labels = { model: "m" };
    const slow = histogramOf(await exposed([3]), "stage_seconds", labels)!;
    expect(quantileBetween(slow, slow, 0.5)).toBeNull();
    expect(quantileBetween(null, slow, 0.5)).toBe(1);
  });
});
