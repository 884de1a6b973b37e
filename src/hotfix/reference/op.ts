/** The whole operator `ai.atpatch::AttentionPatch` in plain TypeScript, on the same tensors as the ONNX form. */
import { attentionFeatureCount, settingIndex, type DetectorTensors } from "../../shared/detector-tensors.ts";
import type { Tensor } from "../../shared/tensor.ts";
import { referenceFlags, referenceLogits, type SiteDetector } from "./detect.ts";
import { referenceFeatures, type SampleMap } from "./features.ts";
import { referenceRedistribution } from "./redistribute.ts";

export interface OpInputs {
  /** [B,H,Tq,Tk] and [B,Hv,Tk,d] */
  readonly map: Tensor;
  readonly value: Tensor;
  readonly modes: ArrayLike<number>;
  /** Carried in: [B·Tk] */
  readonly flags: ArrayLike<number>;
  readonly scores: ArrayLike<number>;
  readonly site: number;
  readonly kind: "self" | "cross";
  readonly detector: DetectorTensors;
}

export interface OpOutputs {
  readonly map: Float64Array;
  readonly value: Float64Array;
  readonly flags: Int32Array;
  readonly scores: Float64Array;
  /** [B][F][Tk] and [B][Tk], whatever the detector does. */
  readonly features: number[][][];
  readonly visible: boolean[][];
  /** [B][Tk]; empty when the site has no detector. */
  readonly logits: number[][];
}

/** Runs the operator on every sample of the batch, each on its own. */
export function referenceOp(inputs: OpInputs): OpOutputs {
  const [batch = 0, heads = 0, queries = 0, keys = 0] = inputs.map.shape;
  const [, valueHeads = 0, , depth = 0] = inputs.value.shape;
  const slot = Number(inputs.detector.slot.data[inputs.site] ?? -1n);
  const detector =
    slot < 0 ? null : unstack(inputs.detector, slot, attentionFeatureCount + valueHeads * depth);
  const mapSize = heads * queries * keys;
  const valueSize = valueHeads * keys * depth;
  const outputs: OpOutputs = {
    map: Float64Array.from(inputs.map.data as Float32Array),
    value: Float64Array.from(inputs.value.data as Float32Array),
    flags: Int32Array.from(inputs.flags),
    scores: Float64Array.from(inputs.scores),
    features: [],
    visible: [],
    logits: [],
  };
  const anyObserved = Array.from({ length: batch }, (_, b) => inputs.modes[b] ?? 0).some((mode) => mode > 0);
  for (let b = 0; b < batch; b++) {
    const mode = inputs.modes[b] ?? 0;
    const map: SampleMap = {
      heads,
      queries,
      keys,
      data: (inputs.map.data as Float32Array).subarray(b * mapSize, (b + 1) * mapSize),
    };
    const value = (inputs.value.data as Float32Array).subarray(b * valueSize, (b + 1) * valueSize);
    const { attention, visible } = referenceFeatures(map, inputs.kind === "self");
    const features = [...attention, ...valueFeatures(value, valueHeads, keys, depth)];
    outputs.features.push(features);
    outputs.visible.push(visible);
    if (detector && anyObserved) {
      const carried = Array.from({ length: keys }, (_, j) => (outputs.flags[b * keys + j] ?? 0) > 0);
      const logits = referenceLogits(features, visible, detector);
      outputs.logits.push(logits);
      const flagged = mode > 0 ? referenceFlags(logits, visible, carried, detector) : [];
      flagged.forEach((isFlagged, j) => {
        if (!isFlagged) return;
        outputs.flags[b * keys + j] = inputs.site + 1;
        outputs.scores[b * keys + j] = logits[j] ?? 0;
      });
    }
    if (mode < 2) continue;
    const flagged = Array.from({ length: keys }, (_, j) => (outputs.flags[b * keys + j] ?? 0) > 0);
    const setting = (name: keyof typeof settingIndex): number =>
      Number(inputs.detector.settings.data[settingIndex[name]]);
    const attentionAt = referenceRow(inputs.detector.reference_attention, inputs.site);
    outputs.map.set(
      referenceRedistribution(map, flagged, {
        ratio: setting("ratio") > 0.5,
        maxBenignMass: setting("maxBenignMass"),
        at: attentionAt,
      }),
      b * mapSize,
    );
    if (setting("replaceValue") <= 0.5) continue;
    const valueAt = referenceRow(inputs.detector.reference_value, inputs.site);
    for (let h = 0; h < valueHeads; h++) {
      for (let j = 0; j < keys; j++) {
        if (!flagged[j]) continue;
        for (let k = 0; k < depth; k++) {
          outputs.value[b * valueSize + (h * keys + j) * depth + k] = valueAt(h, j, k);
        }
      }
    }
  }
  return outputs;
}

/** v [Hv·d][Tk] of one sample [Hv,Tk,d]. */
function valueFeatures(value: ArrayLike<number>, heads: number, keys: number, depth: number): number[][] {
  return Array.from({ length: heads * depth }, (_f, f) =>
    Array.from(
      { length: keys },
      (_j, j) => value[(Math.floor(f / depth) * keys + j) * depth + (f % depth)] ?? 0,
    ),
  );
}

/** Reads row `site` of a stacked [S, X, Y or 1, Z or 1] tensor with broadcasting of the last two dimensions. */
function referenceRow(stacked: Tensor, site: number): (x: number, y: number, z: number) => number {
  const [, xs = 1, ys = 1, zs = 1] = stacked.shape;
  return (x, y, z) =>
    Number(
      stacked.data[((site * xs + (xs === 1 ? 0 : x)) * ys + (ys === 1 ? 0 : y)) * zs + (zs === 1 ? 0 : z)] ??
        0,
    );
}

/** Row `slot` of the stacked detector tensors, cut to this site's feature count. */
function unstack(tensors: DetectorTensors, slot: number, features: number): SiteDetector {
  const row = (tensor: Tensor): Float32Array => {
    const size = tensor.shape.slice(1).reduce((product, dim) => product * dim, 1);
    return (tensor.data as Float32Array).subarray(slot * size, (slot + 1) * size);
  };
  const [, channels1 = 0, stackedFeatures = 0, kernel = 1] = tensors.conv1_weight.shape;
  const [gate = 0, column = 0] = row(tensors.thresholds);
  const conv1 = row(tensors.conv1_weight);
  const conv1Weight = new Float32Array(channels1 * features * kernel);
  for (let c = 0; c < channels1; c++) {
    const from = c * stackedFeatures * kernel;
    conv1Weight.set(conv1.subarray(from, from + features * kernel), c * features * kernel);
  }
  return {
    mean: row(tensors.feature_mean),
    scale: row(tensors.feature_scale),
    features,
    channels1,
    channels2: tensors.conv2_weight.shape[1] ?? 0,
    kernel,
    conv1Weight,
    conv1Bias: row(tensors.conv1_bias),
    conv2Weight: row(tensors.conv2_weight),
    conv2Bias: row(tensors.conv2_bias),
    conv3Weight: row(tensors.conv3_weight),
    conv3Bias: row(tensors.conv3_bias),
    gate,
    column,
    firstKey: Number(tensors.settings.data[settingIndex.firstKey]),
    maxFlaggedShare: Number(tensors.settings.data[settingIndex.maxFlaggedShare]),
  };
}
