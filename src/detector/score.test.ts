import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { referenceLogits } from "../hotfix/reference/detect.ts";
import {
  attentionFeatureCount,
  placeFeatures,
  type DetectorTensorName,
  type DetectorTensors,
} from "../shared/detector-tensors.ts";
import { elementCount, float32, tensor } from "../shared/tensor.ts";
import { scoreModel } from "../hotfix/score-model.ts";
import { columnFeatures, isVisible, type SiteReport } from "../shared/site-report.ts";
import { scorerOf, ScoringSession } from "./score.ts";

interface Shape {
  readonly seed: number;
  readonly batch: number;
  readonly windows: number;
  readonly length: number;
  readonly width: number;
  /** Features that the stacked tensors have beyond those of the site. */
  readonly spare: number;
  readonly c1: number;
  readonly c2: number;
  readonly kernel: 1 | 3;
  readonly firstKey: number;
}

const shapes = fc.record<Shape>({
  seed: fc.nat(1e6),
  batch: fc.integer({ min: 1, max: 3 }),
  windows: fc.integer({ min: 1, max: 3 }),
  length: fc.integer({ min: 1, max: 6 }),
  width: fc.integer({ min: 0, max: 5 }),
  spare: fc.integer({ min: 0, max: 2 }),
  c1: fc.integer({ min: 1, max: 9 }),
  c2: fc.integer({ min: 1, max: 6 }),
  kernel: fc.constantFrom(1, 3),
  firstKey: fc.integer({ min: 0, max: 2 }),
});

function numbers(seed: number): (count: number) => Float32Array {
  let state = (seed % 2147483646) + 1;
  return (count) =>
    Float32Array.from({ length: count }, () => {
      state = (state * 48271) % 2147483647;
      return (state / 2147483647) * 4 - 2;
    });
}

/** Two sites of which the second has the detector in row 0. */
function made(shape: Shape): { tensors: DetectorTensors; report: SiteReport } {
  const random = numbers(shape.seed);
  const floats = (...dims: number[]) => float32(dims, random(elementCount(dims)));
  const { c1, c2, kernel, batch, windows, length, width } = shape;
  const features = attentionFeatureCount + width + shape.spare;
  const own = attentionFeatureCount + width;
  const reported = random(batch * windows * own * length);
  // A hidden key has none of the places.
  const hidden = (at: number): boolean =>
    placeFeatures.some((place) => place === Math.floor(at / length) % own) && reported[at % length]! < -1;
  return {
    tensors: {
      slot: tensor("INT64", [2], BigInt64Array.of(-1n, 0n)),
      feature_mean: floats(1, features),
      feature_scale: float32(
        [1, features],
        random(features).map((x) => x * 8),
      ),
      conv1_weight: floats(1, c1, features, kernel),
      conv1_bias: floats(1, c1),
      conv2_weight: floats(1, c2, c1, 1),
      conv2_bias: floats(1, c2),
      conv3_weight: floats(1, 1, c2, 1),
      conv3_bias: floats(1, 1),
      thresholds: floats(1, 2),
      reference_attention: floats(2, 1, 1, 1),
      reference_value: floats(2, 1, 1, 1),
      settings: float32([5], [0.5, 0.5, shape.firstKey, 0, 1]),
    },
    report: {
      site: 1,
      keys: windows * length,
      windows,
      width: own,
      features: reported.map((x, at) => (hidden(at) ? 0 : x)),
    },
  };
}

/** The same by the plain reference of the operator, window by window. */
function reference(
  { width, c1, c2, kernel, batch, windows, length, spare, firstKey }: Shape,
  { tensors: t, report }: ReturnType<typeof made>,
) {
  const features = attentionFeatureCount + width;
  const data = (of: DetectorTensorName): Float32Array => t[of].data as Float32Array;
  const conv1Weight: number[] = [];
  for (let c = 0; c < c1; c++) {
    for (let at = 0; at < features * kernel; at++)
      conv1Weight.push(data("conv1_weight")[c * (features + spare) * kernel + at]!);
  }
  const detector = {
    mean: data("feature_mean"),
    scale: data("feature_scale"),
    features,
    channels1: c1,
    channels2: c2,
    kernel,
    conv1Weight,
    conv1Bias: data("conv1_bias"),
    conv2Weight: data("conv2_weight"),
    conv2Bias: data("conv2_bias"),
    conv3Weight: data("conv3_weight"),
    conv3Bias: data("conv3_bias"),
    gate: data("thresholds")[0]!,
    column: data("thresholds")[1]!,
    firstKey,
    maxFlaggedShare: 0.5,
  };
  const open = Array.from({ length: batch }, () => false);
  const all: number[] = [];
  for (let row = 0; row < batch * windows; row++) {
    const columns = Array.from({ length }, (_, j) => row * length + j);
    const visible = columns.map((at) => isVisible(report, at));
    const rows = Array.from({ length: features }, (_, i) =>
      columns.map((at) => columnFeatures(report, at, i, i + 1)[0]!),
    );
    const scores = referenceLogits(rows, visible, detector);
    all.push(...scores);
    if (scores.some((score, j) => visible[j] && j >= firstKey && score >= detector.gate))
      open[Math.floor(row / windows)] = true;
  }
  return { all, open, gate: detector.gate };
}

describe("scoring reported features", () => {
  let session: ScoringSession;
  beforeAll(async () => {
    session = await ScoringSession.create(scoreModel());
  });
  afterAll(() => session.release());

  it("agrees with the plain reference of the operator", async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async (shape) => {
        const given = made(shape);
        const scorer = scorerOf(given.tensors);
        const expected = reference(shape, given);
        const found = await session.logits(scorer, scorer.detections[0]!, given.report);
        expect(found).toHaveLength(expected.all.length);
        const rounding = (value: number): number => 3e-4 + 3e-5 * Math.abs(value);
        expected.all.forEach((value, at) =>
          expect(Math.abs(found[at]! - value)).toBeLessThan(rounding(value)),
        );
        // A logit on the threshold may fall on either side of it.
        if (expected.all.some((value) => Math.abs(value - expected.gate) < rounding(value))) return;
        expect(await session.gates(scorer, [given.report], shape.batch)).toEqual(expected.open);
      }),
      { numRuns: 300 },
    );
  });

  it("says nothing of sites that were not reported or did not run", async () => {
    const { tensors, report } = made({
      seed: 1,
      batch: 2,
      windows: 1,
      length: 4,
      width: 2,
      spare: 0,
      c1: 4,
      c2: 4,
      kernel: 1,
      firstKey: 0,
    });
    const always = { ...tensors, thresholds: float32([1, 2], [-1e9, -1e9]) };
    const empty = new Float32Array(0);
    expect(await session.gates(scorerOf(always), [report], 2)).toEqual([true, true]);
    expect(await session.gates(scorerOf(always), [], 2)).toEqual([false, false]);
    expect(await session.gates(scorerOf(always), [{ ...report, site: 0 }], 2)).toEqual([false, false]);
    expect(
      await session.gates(scorerOf(always), [{ site: 1, keys: 0, windows: 1, width: 0, features: empty }], 2),
    ).toEqual([false, false]);
  });
});
