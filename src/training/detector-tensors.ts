/** From what was fitted and measured to the tensors that a bundle holds and the op is fed with. */
import { attentionFeatureCount, settingIndex, type DetectorTensors } from "../shared/detector-tensors.ts";
import { elementCount, float32, tensor, type Tensor } from "../shared/tensor.ts";
import type { BundleMetadata } from "../detector/bundle.ts";
import { featureRange } from "./columns.ts";
import type { FittedSite } from "./fit.ts";
import { channels1, channels2 } from "./network.ts";
import type { BenignReference } from "./reference.ts";

export type ReferenceKind = BundleMetadata["reference"];

/** A site's detector with its thresholds on the logit. */
export interface DetectionSite {
  readonly fitted: FittedSite;
  readonly gate: number;
  readonly column: number;
}

export interface DetectorParts {
  /** Number of sites of the model. */
  readonly sites: number;
  /** In order of their site; none for a detector that only carries the reference. */
  readonly detection: readonly DetectionSite[];
  readonly reference: BenignReference;
  readonly kind: ReferenceKind;
  /** Columns before it are never flagged by the detector. */
  readonly firstKey: number;
}

/** γ, the most mass a row gives to flagged columns, and k_max as a share of the visible ones. */
const maxBenignMass = 0.5;
export const maxFlaggedShare = 0.5;

export function detectorTensors(parts: DetectorParts): DetectorTensors {
  const { detection, reference, kind } = parts;
  const rows = Math.max(detection.length, 1);
  const kernel = detection[0]?.fitted.kernel ?? 1;
  const features = Math.max(
    attentionFeatureCount,
    ...detection.map(({ fitted }) => fitted.standardisation.mean.length),
  );
  const slot = new BigInt64Array(parts.sites).fill(-1n);
  detection.forEach(({ fitted }, row) => (slot[fitted.site] = BigInt(row)));
  const stack = (shape: readonly number[], fill: (fitted: FittedSite, row: Float32Array) => void): Tensor => {
    const size = elementCount(shape);
    const data = new Float32Array(rows * size);
    detection.forEach(({ fitted }, row) => fill(fitted, data.subarray(row * size, (row + 1) * size)));
    return float32([rows, ...shape], data);
  };
  const settings = new Float32Array(Object.keys(settingIndex).length);
  settings[settingIndex.maxBenignMass] = maxBenignMass;
  settings[settingIndex.maxFlaggedShare] = maxFlaggedShare;
  settings[settingIndex.firstKey] = parts.firstKey;
  settings[settingIndex.ratio] = reference.ratio ? 1 : 0;
  settings[settingIndex.replaceValue] = kind === "benign" ? 1 : 0;
  const { attention, value } = reference;
  return {
    slot: tensor("INT64", [parts.sites], slot),
    feature_mean: stack([features], ({ standardisation }, row) => row.set(standardisation.mean)),
    feature_scale: stack([features], (fitted, row) => row.set(usedScale(fitted))),
    conv1_weight: stack([channels1, features, kernel], writeConvolution),
    conv1_bias: stack([channels1], ({ network }, row) => row.set(network.bias1)),
    conv2_weight: stack([channels2, channels1, 1], ({ network }, row) => {
      network.weight2.forEach(
        (w, at) => (row[(at % channels2) * channels1 + Math.floor(at / channels2)] = w),
      );
    }),
    conv2_bias: stack([channels2], ({ network }, row) => row.set(network.bias2)),
    conv3_weight: stack([1, channels2, 1], ({ network }, row) => row.set(network.weight3)),
    conv3_bias: stack([1], ({ network }, row) => row.set(network.bias3)),
    thresholds: float32(
      [rows, 2],
      detection.length === 0 ? [0, 0] : detection.flatMap(({ gate, column }) => [gate, column]),
    ),
    reference_attention:
      kind === "zero" ? float32(attention.shape, new Float32Array(attention.data.length)) : attention,
    reference_value: value,
    settings: float32([settings.length], settings),
  };
}

/** Scales with 0 for features the detector does not use. */
function usedScale({ features, standardisation: { scale } }: FittedSite): Float32Array {
  const [from, to] = featureRange(features, scale.length);
  return scale.map((value, f) => (f >= from && f < to ? value : 0));
}

/** [K][features used][C1] of the training layout → [C1][F][K]. */
function writeConvolution(fitted: FittedSite, row: Float32Array): void {
  const { kernel, network, standardisation, features } = fitted;
  const [from, to] = featureRange(features, standardisation.mean.length);
  const stride = row.length / channels1 / kernel;
  for (let k = 0; k < kernel; k++) {
    for (let f = from; f < to; f++) {
      for (let c = 0; c < channels1; c++) {
        row[(c * stride + f) * kernel + k] = network.weight1[
          (k * (to - from) + f - from) * channels1 + c
        ] as number;
      }
    }
  }
}
