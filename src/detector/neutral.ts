import { attentionFeatureCount, settingIndex, type DetectorTensors } from "../shared/detector-tensors.ts";
import { elementCount, float32, tensor } from "../shared/tensor.ts";

/**
 * Tensors of a detector that flags nothing and whose reference is zero attention: what a model runs with when no detector
 * is active. A column forced then loses its attention and keeps its value. Shapes are as small as broadcasting allows.
 * @param sites number of sites S of the model
 */
export function neutralTensors(sites: number): DetectorTensors {
  const zeros = (...shape: number[]) => float32(shape, new Float32Array(elementCount(shape)));
  const settings = new Float32Array(Object.keys(settingIndex).length);
  settings[settingIndex.maxBenignMass] = 0.5;
  settings[settingIndex.maxFlaggedShare] = 0.5;
  settings[settingIndex.firstKey] = 1;
  return {
    slot: tensor("INT64", [sites], new BigInt64Array(sites).fill(-1n)),
    feature_mean: zeros(1, attentionFeatureCount),
    feature_scale: zeros(1, attentionFeatureCount),
    conv1_weight: zeros(1, 1, attentionFeatureCount, 1),
    conv1_bias: zeros(1, 1),
    conv2_weight: zeros(1, 1, 1, 1),
    conv2_bias: zeros(1, 1),
    conv3_weight: zeros(1, 1, 1, 1),
    conv3_bias: zeros(1, 1),
    thresholds: zeros(1, 2),
    reference_attention: zeros(sites, 1, 1, 1),
    reference_value: zeros(sites, 1, 1, 1),
    settings: float32([settings.length], settings),
  };
}
