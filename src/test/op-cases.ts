/** Random inputs of the hot-fix operator: attention maps with masks, values, detectors and references. */
import fc from "fast-check";
import { attentionFeatureCount, type DetectorTensors } from "../shared/detector-tensors.ts";
import { float32, tensor, type Tensor } from "../shared/tensor.ts";

export interface OpCase {
  readonly map: Tensor;
  readonly value: Tensor;
  readonly modes: Int32Array;
  readonly flags: Int32Array;
  readonly detector: DetectorTensors;
}

/** A small seeded generator, so that a case is one integer plus its shape. */
export function randomSource(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const gaussian = (random: () => number): number =>
  Math.sqrt(-2 * Math.log(random() + 1e-12)) * Math.cos(2 * Math.PI * random());

export const opCaseShape = fc.record({
  seed: fc.integer({ min: 0, max: 2 ** 31 }),
  batch: fc.integer({ min: 1, max: 3 }),
  heads: fc.integer({ min: 1, max: 3 }),
  keys: fc.integer({ min: 2, max: 9 }),
  extraQueries: fc.integer({ min: 0, max: 2 }),
  depth: fc.integer({ min: 1, max: 4 }),
  mask: fc.constantFrom("none", "padding", "causal"),
  kernel: fc.constantFrom(1, 3),
  detects: fc.boolean(),
  ratio: fc.boolean(),
  replaceValue: fc.boolean(),
  sharpness: fc.constantFrom(0.5, 2, 30),
  /** The detector looks at every key's value alone. */
  pointwise: fc.boolean(),
});
export type OpCaseShape = typeof opCaseShape extends fc.Arbitrary<infer T> ? T : never;

/** The shape that tests of one case set out from. */
export const plainShape: OpCaseShape = {
  seed: 5,
  batch: 1,
  heads: 2,
  keys: 5,
  extraQueries: 0,
  depth: 4,
  mask: "none",
  kernel: 3,
  detects: true,
  ratio: false,
  replaceValue: true,
  sharpness: 2,
  pointwise: false,
};

/** Number of visible keys of sample `b`. */
export function visibleKeys(shape: OpCaseShape, b: number): number {
  return shape.mask === "padding" ? Math.max(1, shape.keys - ((shape.seed + b) % shape.keys)) : shape.keys;
}

/** Builds the tensors of a case. `flagShare` is the chance that a column comes in flagged. */
export function opCase(shape: OpCaseShape, options: { sites?: number; flagShare?: number } = {}): OpCase {
  const random = randomSource(shape.seed);
  const { batch, heads, keys, depth } = shape;
  const queries = keys + (shape.mask === "causal" ? 0 : shape.extraQueries);
  const map = new Float32Array(batch * heads * queries * keys);
  for (let b = 0; b < batch; b++) {
    const visible = visibleKeys(shape, b);
    for (let row = 0; row < heads * queries; row++) {
      const i = row % queries;
      const limit = shape.mask === "causal" ? i + 1 : visible;
      const exp = Array.from({ length: keys }, (_, j) =>
        j < limit ? Math.exp(gaussian(random) * shape.sharpness) : 0,
      );
      const total = exp.reduce((sum, x) => sum + x, 0);
      // Denormal numbers are visible in double precision and may be zero in the runtime: they decide nothing here.
      exp.forEach(
        (x, j) => (map[(b * heads * queries + row) * keys + j] = x / total < 1e-30 ? 0 : x / total),
      );
    }
  }
  const list = (n: number, scale = 1): Float32Array =>
    Float32Array.from({ length: n }, () => gaussian(random) * scale);
  const value = list(batch * heads * keys * depth);
  const modes = Int32Array.from({ length: batch }, () => Math.floor(random() * 3));
  const flags = Int32Array.from({ length: batch * keys }, (_, k) =>
    (modes[Math.floor(k / keys)] ?? 0) > 0 && random() < (options.flagShare ?? 0) ? 1 : 0,
  );
  return {
    map: float32([batch, heads, queries, keys], map),
    value: float32([batch, heads, keys, depth], value),
    modes,
    flags,
    detector: randomDetector(shape, queries, options.sites ?? 1, random, list),
  };
}

function randomDetector(
  shape: OpCaseShape,
  queries: number,
  sites: number,
  random: () => number,
  list: (n: number, scale?: number) => Float32Array,
): DetectorTensors {
  const { heads, keys, depth, pointwise } = shape;
  const kernel = pointwise ? 1 : shape.kernel;
  const features = attentionFeatureCount + heads * depth;
  const [c1, c2] = [5, 3];
  const attention = shape.ratio ? [1, 1] : [queries, keys];
  const attentionSize = sites * heads * (attention[0] ?? 1) * (attention[1] ?? 1);
  return {
    slot: tensor(
      "INT64",
      [sites],
      BigInt64Array.from({ length: sites }, () => (shape.detects ? 0n : -1n)),
    ),
    feature_mean: float32([1, features], list(features, 0.3)),
    feature_scale: float32(
      [1, features],
      list(features, 0.3).map((x, i) => (pointwise && i < attentionFeatureCount ? 0 : 0.5 + Math.abs(x))),
    ),
    conv1_weight: float32([1, c1, features, kernel], list(c1 * features * kernel, 0.5)),
    conv1_bias: float32([1, c1], list(c1, 0.5)),
    conv2_weight: float32([1, c2, c1, 1], list(c2 * c1, 0.7)),
    conv2_bias: float32([1, c2], list(c2, 0.5)),
    conv3_weight: float32([1, 1, c2, 1], list(c2, 1)),
    conv3_bias: float32([1, 1], list(1, 0.5)),
    thresholds: float32([1, 2], [0.5 + random(), random() - 0.5]),
    reference_attention: float32(
      [sites, heads, ...attention],
      Float32Array.from({ length: attentionSize }, () => random() * (shape.ratio ? 2 : 2 / keys)),
    ),
    reference_value: float32(
      [sites, heads, shape.ratio ? 1 : keys, depth],
      list(sites * heads * (shape.ratio ? 1 : keys) * depth),
    ),
    settings: float32([5], [0.5, 0.5, 1, shape.ratio ? 1 : 0, shape.replaceValue ? 1 : 0]),
  };
}
