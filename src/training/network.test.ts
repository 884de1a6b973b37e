import { describe, expect, it } from "vitest";
import { referenceLogits } from "../hotfix/reference/detect.ts";
import { AdamW } from "./adam.ts";
import { writeWindow } from "./column-windows.ts";
import { standardisation, type FeatureSet, type SiteColumns } from "./columns.ts";
import type { DetectorTensorName } from "../shared/detector-tensors.ts";
import { detectorTensors } from "./detector-tensors.ts";
import { scoreSamples } from "./fit.ts";
import { activationsFor, backward, forward, parameters, randomNetwork, zeroNetwork } from "./network.ts";
import { Random } from "./random.ts";

const random = new Random(5, "test");
const uniform = (): number => random.uniform() * 4 - 2;

describe("the detector's network", () => {
  // An odd number of windows reaches the unpaired last row of the blocked loops.
  it.each([1, 2, 5])("has the gradients that finite differences give, for %i windows", (windows) => {
    const inputs = 7;
    const network = randomNetwork(inputs, random);
    for (const values of parameters(network))
      values.forEach((value, i) => (values[i] = value + uniform() / 4));
    const x = Float32Array.from({ length: windows * inputs }, uniform);
    const slope = Float64Array.from({ length: windows }, uniform);
    const activations = activationsFor(windows);
    const loss = (): number => {
      forward(network, x, windows, activations);
      return activations.logits.reduce((sum, logit, n) => sum + logit * slope[n]!, 0);
    };
    const gradient = zeroNetwork(inputs);
    loss();
    backward(network, x, windows, activations, slope, gradient);
    const step = 1e-6;
    let checked = 0;
    parameters(network).forEach((values, p) => {
      for (let i = 0; i < values.length; i += Math.ceil(values.length / 20)) {
        const value = values[i]!;
        values[i] = value + step;
        const above = loss();
        values[i] = value - step;
        const below = loss();
        values[i] = value;
        expect(parameters(gradient)[p]![i]).toBeCloseTo((above - below) / (2 * step), 5);
        checked += 1;
      }
    });
    expect(checked).toBeGreaterThan(60);
  });

  it.each<[FeatureSet, 1 | 3]>([
    ["attention", 1],
    ["value", 3],
    ["attention+value", 3],
  ])("scores as the op will from the bundle's tensors: %s, kernel %i", (features, kernel) => {
    const width = 11 + 4;
    const keys = 9;
    const visible = Uint8Array.from({ length: keys }, (_, key) => (key === 4 ? 0 : 1));
    const columns: SiteColumns = {
      site: 0,
      width,
      samples: [{ keys, visible, features: Float32Array.from({ length: keys * width }, uniform) }],
    };
    const window = { features, kernel, standardisation: standardisation(columns, [0]) };
    const used = features === "attention" ? 11 : features === "value" ? 4 : 15;
    const network = randomNetwork(kernel * used, random);
    for (const values of parameters(network))
      values.forEach((value, i) => (values[i] = Math.fround(value + uniform() / 9)));
    const fitted = { site: 0, ...window, network };
    const tensors = detectorTensors({
      sites: 1,
      detection: [{ fitted, gate: 1, column: 0 }],
      reference: {
        ratio: false,
        attention: { datatype: "FP32", shape: [1, 1, 1, 1], data: new Float32Array(1) },
        value: { datatype: "FP32", shape: [1, 1, 1, 1], data: new Float32Array(1) },
        keys: null,
      },
      kind: "benign",
      firstKey: 1,
    });
    const data = (name: DetectorTensorName): Float32Array => tensors[name].data as Float32Array;
    const expected = referenceLogits(
      Array.from({ length: width }, (_, f) =>
        [...visible.keys()].map((key) => columns.samples[0]!.features[key * width + f]!),
      ),
      [...visible].map((seen) => seen === 1),
      {
        mean: data("feature_mean"),
        scale: data("feature_scale"),
        features: width,
        channels1: 32,
        channels2: 16,
        kernel,
        conv1Weight: data("conv1_weight"),
        conv1Bias: data("conv1_bias"),
        conv2Weight: data("conv2_weight"),
        conv2Bias: data("conv2_bias"),
        conv3Weight: data("conv3_weight"),
        conv3Bias: data("conv3_bias"),
        gate: 1,
        column: 0,
        firstKey: 1,
        maxFlaggedShare: 0.5,
      },
    );
    const scores = scoreSamples(fitted, columns, [0])[0]!;
    expected.forEach((logit, key) => expect(scores[key]).toBeCloseTo(logit, 4));
    expect(Math.max(...scores) - Math.min(...scores)).toBeGreaterThan(0.01);
  });

  it("sees zeros beside hidden keys and beyond the ends, and limits outliers", () => {
    const columns: SiteColumns = {
      site: 0,
      width: 11,
      samples: [{ keys: 3, visible: Uint8Array.of(1, 1, 0), features: new Float32Array(33).fill(1e6) }],
    };
    const ones = { mean: new Float32Array(11), scale: new Float32Array(11).fill(1) };
    const out = new Float32Array(33);
    writeWindow(columns, 0, 1, { features: "attention", kernel: 3, standardisation: ones }, out, 0);
    expect([out[0], out[11], out[22]]).toEqual([12, 12, 0]);
    writeWindow(columns, 0, 0, { features: "attention", kernel: 3, standardisation: ones }, out, 0);
    expect([out[0], out[11], out[22]]).toEqual([0, 12, 12]);
  });
});

describe("AdamW", () => {
  it("follows the published update", () => {
    const values = Float64Array.of(1, -2);
    const optimiser = new AdamW([values], 0.1);
    const m: number[] = [0, 0];
    const v: number[] = [0, 0];
    const expected: number[] = [1, -2];
    for (let t = 1; t <= 5; t++) {
      const gradient = Float64Array.of(0.5 * t, -3 / t);
      [0, 1].forEach((i) => {
        m[i] = 0.9 * m[i]! + 0.1 * gradient[i]!;
        v[i] = 0.999 * v[i]! + 0.001 * gradient[i]! ** 2;
        const direction = m[i] / (1 - 0.9 ** t) / (Math.sqrt(v[i] / (1 - 0.999 ** t)) + 1e-8);
        expected[i] = expected[i]! - 0.01 * (direction + 0.1 * expected[i]!);
      });
      optimiser.step([gradient], 0.01);
      expect([...gradient]).toEqual([0, 0]);
    }
    expected.forEach((value, i) => expect(values[i]).toBeCloseTo(value, 10));
  });
});
