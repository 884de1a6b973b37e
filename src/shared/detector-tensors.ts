/**
 * The tensors a detector consists of. They are at once the content of a bundle file and, laid out as `graph-tensors.ts` has
 * them, required inputs of the patched graph under the prefix `atpatch.`: a swap is another set of feeds.
 *
 * Symbols: S sites of the model, D sites at which the detector runs, F = 11 + H·d features of the widest of them,
 * C1 and C2 channels (32 and 16 by default), K kernel over the key axis (1 or 3).
 */
import type { Tensor } from "./tensor.ts";

/** Number of attention features φ (reference: docs in `hotfix/features.ts`). */
export const attentionFeatureCount = 11;
/** Positions of the one-hot features of φ (first, last, other visible key): all are 0 for a hidden key, one is 1 for another. */
export const placeFeatures = [8, 9, 10] as const;

export interface DetectorTensors {
  /** int64 [S]: row of the stacked detector tensors that this site uses, or -1: no detection here. */
  readonly slot: Tensor;
  /** float32 [D, F]: benign mean and 1/std of the features [φ; v]. */
  readonly feature_mean: Tensor;
  readonly feature_scale: Tensor;
  /** float32 [D, C1, F, K], [D, C1]. */
  readonly conv1_weight: Tensor;
  readonly conv1_bias: Tensor;
  /** float32 [D, C2, C1, 1], [D, C2]. */
  readonly conv2_weight: Tensor;
  readonly conv2_bias: Tensor;
  /** float32 [D, 1, C2, 1], [D, 1]. */
  readonly conv3_weight: Tensor;
  readonly conv3_bias: Tensor;
  /** float32 [D, 2]: gate threshold τ_hi and column threshold τ_lo, on the logit. */
  readonly thresholds: Tensor;
  /** float32 [S, H, Tq or 1, Tk or 1]: benign attention c, or with `ratio` its ratio ρ to uniform mass. */
  readonly reference_attention: Tensor;
  /** float32 [S, Hv, Tk or 1, d]: benign value V̄. */
  readonly reference_value: Tensor;
  /** float32 [5]: see {@link settingIndex}. */
  readonly settings: Tensor;
  /**
   * BOOL [Tk], no input of the graph: columns that are repaired in every sample, whatever is scored, as when a table's
   * protected attribute is to have no say. Absent: none.
   */
  readonly forced?: Tensor;
}

export type DetectorTensorName = Exclude<keyof DetectorTensors, "forced">;

/** Positions of the columns that a detector forces. */
export function forcedColumns({ forced }: Pick<DetectorTensors, "forced">): number[] {
  return Array.from(forced?.data ?? [], Number).flatMap((is, column) => (is === 1 ? [column] : []));
}

/** Names of the tensors that make up the network: from features to logits. */
export const networkTensorNames = [
  "feature_mean",
  "feature_scale",
  "conv1_weight",
  "conv1_bias",
  "conv2_weight",
  "conv2_bias",
  "conv3_weight",
  "conv3_bias",
] as const satisfies readonly DetectorTensorName[];

export type NetworkTensorName = (typeof networkTensorNames)[number];

/** Names in the order they are fed. */
export const detectorTensorNames = [
  "slot",
  ...networkTensorNames,
  "thresholds",
  "reference_attention",
  "reference_value",
  "settings",
] as const satisfies readonly DetectorTensorName[];

/** Whether the detector looks at φ, by the row of its stacked tensors: one that does not scales it with 0. */
export function usesAttention({ shape, data }: Tensor): boolean[] {
  const [rows = 0, width = 0] = shape;
  const scale = data as Float32Array;
  return Array.from({ length: rows }, (_, row) =>
    scale.subarray(row * width, row * width + attentionFeatureCount).some((each) => each > 0),
  );
}

/** Positions in the `settings` vector. */
export const settingIndex = {
  /** γ: most mass a row may give to flagged columns (0.5). */
  maxBenignMass: 0,
  /** k_max as a share of the visible columns (0.5). */
  maxFlaggedShare: 1,
  /** Columns before this key position are never flagged by the detector ([CLS] at 0 → 1). */
  firstKey: 2,
  /** 1: `reference_attention` is a ratio to uniform mass; 0: it is the attention itself. */
  ratio: 3,
  /** 1: flagged columns get the benign value; 0: they keep theirs (`attention-only`). */
  replaceValue: 4,
} as const;

/**
 * Shapes of the tensors. A letter stands for one length throughout; one that ends in "?" may be 1 instead, and then
 * broadcasts.
 */
export const detectorShapes = {
  slot: ["S"],
  feature_mean: ["D", "F"],
  feature_scale: ["D", "F"],
  conv1_weight: ["D", "C1", "F", "K"],
  conv1_bias: ["D", "C1"],
  conv2_weight: ["D", "C2", "C1", 1],
  conv2_bias: ["D", "C2"],
  conv3_weight: ["D", 1, "C2", 1],
  conv3_bias: ["D", 1],
  thresholds: ["D", 2],
  reference_attention: ["S", "H", "Tq", "Tk?"],
  reference_value: ["S", "Hv", "Tk?", "d"],
  settings: [Object.keys(settingIndex).length],
} as const satisfies Readonly<Record<DetectorTensorName, readonly (string | number)[]>>;
