/**
 * The tensors of a detector as the graph takes them, laid out for the nodes that read them: mean and scale as columns, which
 * broadcast over the key axis, and references by keys, so that those of a few columns are whole rows.
 *
 * A *pointwise* detector scores every key by its value alone: one row of stacked tensors, no attention features, a kernel of
 * 1. Its network needs no stacking and no neighbours, so the graph takes it as a perceptron on rows of values, which costs
 * less than half the nodes.
 */
import {
  attentionFeatureCount,
  detectorShapes,
  networkTensorNames,
  usesAttention,
  type DetectorTensorName,
  type DetectorTensors,
} from "./detector-tensors.ts";
import { float32, type Tensor } from "./tensor.ts";

/** Shapes of the tensors; T = S·Tk, the keys of one site after those of another, or S where they broadcast. */
export const graphShapes = {
  ...detectorShapes,
  feature_mean: ["D", "F", 1],
  feature_scale: ["D", "F", 1],
  reference_attention: ["T", "H", "Tq"],
  reference_value: ["T", "Hv", "d"],
} as const satisfies Readonly<Record<DetectorTensorName, readonly (string | number)[]>>;

/** A tensor of a bundle as the graph takes it; on the same memory where only the shape differs. */
export function graphTensor(name: DetectorTensorName, tensor: Tensor): Tensor {
  switch (name) {
    case "feature_mean":
    case "feature_scale":
      return { ...tensor, shape: [...tensor.shape, 1] };
    case "reference_attention":
      return keysFirst(tensor, 3);
    case "reference_value":
      return keysFirst(tensor, 2);
    default:
      return tensor;
  }
}

/** Whether the graph can take the detector as a pointwise one. */
export function isPointwise(detector: Pick<DetectorTensors, "feature_scale" | "conv1_weight">): boolean {
  const { feature_scale: scale, conv1_weight: weight } = detector;
  const [rows, width = 0] = scale.shape;
  const values = width - attentionFeatureCount;
  // A row that is padded to the width of another site ends in zeros.
  const whole = Number(scale.data[width - 1]) > 0;
  return rows === 1 && values > 0 && weight.shape[3] === 1 && whole && !usesAttention(scale)[0];
}

/** Tensors that a pointwise detector has in a form of their own; the others are laid out as ever. */
export const pointwiseTensorNames = [
  ...networkTensorNames,
  "thresholds",
] as const satisfies readonly DetectorTensorName[];

/** Share of a gate by which rounding may make a logit too low. */
const gateRounding = 1e-4;

/**
 * Those tensors as the graph takes them: mean and scale [W], weights [C, W or C'], biases [C], and
 *   conv3_bias [1]: b − τ_hi, a little more, so that what is not above 0 surely stays below the gate
 *   thresholds [3]: τ_hi, τ_lo, b                         b the bias of the logit
 */
export function pointwiseTensors(
  detector: DetectorTensors,
): Record<(typeof pointwiseTensorNames)[number], Tensor> {
  const { thresholds, conv3_bias: bias } = detector;
  const [gate, column, shift] = [...thresholds.data, bias.data[0]].map(Number) as [number, number, number];
  const unstacked = ({ datatype, shape, data }: Tensor, rank: number): Tensor => ({
    datatype,
    shape: shape.slice(1, 1 + rank),
    data,
  });
  return {
    feature_mean: valuesOnly(detector.feature_mean),
    feature_scale: valuesOnly(detector.feature_scale),
    conv1_weight: valuesOnly(detector.conv1_weight),
    conv1_bias: unstacked(detector.conv1_bias, 1),
    conv2_weight: unstacked(detector.conv2_weight, 2),
    conv2_bias: unstacked(detector.conv2_bias, 1),
    conv3_weight: unstacked(detector.conv3_weight, 2),
    conv3_bias: float32([1], [shift - gate + gateRounding * Math.max(1, Math.abs(gate))]),
    thresholds: float32([3], [gate, column, shift]),
  };
}

/** Without the features of attention: [1, F] → [W], [1, C1, F, 1] → [C1, W]. */
function valuesOnly({ datatype, shape, data }: Tensor): Tensor {
  const width = shape.length === 2 ? shape[1]! : shape[2]!;
  const kept = width - attentionFeatureCount;
  const rows = data.length / width;
  const from = data as Float32Array;
  const to = new Float32Array(rows * kept);
  for (let row = 0; row < rows; row++) {
    to.set(from.subarray(row * width + attentionFeatureCount, (row + 1) * width), row * kept);
  }
  return { datatype, shape: shape.length === 2 ? [kept] : [rows, kept], data: to };
}

/** [S, a, b, c] with the key axis second, and both in one: [S·Tk, …]. */
function keysFirst({ datatype, shape, data }: Tensor, axis: 2 | 3): Tensor {
  const [sites = 0, ...rest] = shape;
  const keys = shape[axis] ?? 0;
  const others = rest.filter((_, at) => at !== axis - 1);
  const turned = { datatype, shape: [sites * keys, ...others] };
  if (keys === 1) return { ...turned, data };
  /** Elements before the key axis, of one site, and after it. */
  const outer = shape.slice(1, axis).reduce((product, dim) => product * dim, 1);
  const inner = shape.slice(axis + 1).reduce((product, dim) => product * dim, 1);
  const from = data as Float32Array;
  const to = new Float32Array(from.length);
  for (let site = 0, at = 0; site < sites; site++) {
    for (let key = 0; key < keys; key++) {
      for (let row = 0; row < outer; row++) {
        const start = ((site * outer + row) * keys + key) * inner;
        for (let i = 0; i < inner; i++) to[at++] = from[start + i]!;
      }
    }
  }
  return { ...turned, data: to };
}
