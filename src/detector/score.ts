/**
 * A detector on features that a run has reported, off the answer's path: the network and gate of `hotfix/detect.ts` in plain
 * typed arrays (double precision), arranged for speed. Pure.
 */
import { attentionFeatureCount, settingIndex, type DetectorTensors } from "../shared/detector-tensors.ts";
import type { Tensor } from "../shared/tensor.ts";

/** Standardised features are limited to ± this, as in the graph. */
const featureLimit = 12;

/** The network of one site; plain data, so that it crosses threads. */
interface SiteScorer {
  readonly site: number;
  /** Features F of the stacked tensors; a site may have fewer. */
  readonly features: number;
  readonly kernel: number;
  readonly mean: Float64Array;
  readonly scale: Float64Array;
  /** [K][F][C1], [C1], [C1][C2], [C2], [C2], [1]; C1 and C2 filled up to multiples of 4. */
  readonly weight1: Float64Array;
  readonly bias1: Float64Array;
  readonly weight2: Float64Array;
  readonly bias2: Float64Array;
  readonly weight3: Float64Array;
  readonly bias3: number;
  /** τ_hi. */
  readonly gate: number;
  readonly firstKey: number;
}

/** What scoring needs of a detector: a small part of its tensors. */
export type Scorer = readonly SiteScorer[];

/** What a run saw at one site: B samples of `keys` columns in `windows` parts that attend by themselves. */
export interface ScoredSite {
  readonly site: number;
  readonly keys: number;
  readonly windows: number;
  /** φ [B, T, 11] and v [B, T, H·d]. */
  readonly features: Float32Array;
  readonly values: Float32Array;
  /** [B, T], above 0 where the key is visible. */
  readonly visible: Float32Array;
}

/** The scorer of a detector; copies what it needs. */
export function scorerOf(tensors: DetectorTensors): Scorer {
  const slots = Array.from(tensors.slot.data, Number);
  return slots.flatMap((row, site) => (row < 0 ? [] : [siteScorer(tensors, site, row)]));
}

/**
 * Whether the detector would have triggered on each sample: a visible column from firstKey on whose logit reaches the gate at
 * one of its sites. Sites that are not reported, or did not run, say nothing.
 */
export function gates(scorer: Scorer, reports: readonly ScoredSite[], batch: number): boolean[] {
  const open = Array.from({ length: batch }, () => false);
  for (const site of scorer) {
    const report = reports.find((candidate) => candidate.site === site.site);
    if (report === undefined || report.keys === 0) continue;
    const length = report.keys / report.windows;
    for (let row = 0; row < batch * report.windows; row++) {
      const sample = Math.floor(row / report.windows);
      open[sample] ||= opens(site, windowLogits(site, report, row, length), report.visible, row * length);
    }
  }
  return open;
}

/**
 * Logits of every column of a report, [B·T].
 * @param site one entry of a scorer
 */
export function logits(site: SiteScorer, report: ScoredSite): Float64Array {
  const length = report.keys / report.windows;
  const rows = length === 0 ? 0 : report.visible.length / length;
  const all = new Float64Array(report.visible.length);
  for (let row = 0; row < rows; row++) all.set(windowLogits(site, report, row, length), row * length);
  return all;
}

function opens(site: SiteScorer, scores: Float64Array, visible: Float32Array, at: number): boolean {
  for (let j = site.firstKey; j < scores.length; j++) {
    if (visible[at + j]! > 0 && scores[j]! >= site.gate) return true;
  }
  return false;
}

/** Logits of one window: the convolution runs over its columns alone. */
function windowLogits(site: SiteScorer, report: ScoredSite, row: number, length: number): Float64Array {
  const { kernel, bias1, bias2, weight1, weight2, weight3, bias3 } = site;
  const width = report.visible.length === 0 ? 0 : report.values.length / report.visible.length;
  const count = Math.min(site.features, attentionFeatureCount + width);
  const columns = standardised(site, report, row * length, length, count);
  // Rows of weight1 for features the site does not have are left out: [K][count][C1].
  const [c1, c2] = [bias1.length, bias2.length];
  const hidden1 = new Float64Array(c1);
  const hidden2 = new Float64Array(c2);
  const scores = new Float64Array(length);
  for (let j = 0; j < length; j++) {
    hidden1.set(bias1);
    for (let k = 0; k < kernel; k++) {
      add(hidden1, columns, (j + k) * count, count, weight1, k * site.features * c1);
    }
    rectify(hidden1);
    hidden2.set(bias2);
    add(hidden2, hidden1, 0, c1, weight2, 0);
    rectify(hidden2);
    let logit = bias3;
    for (let c = 0; c < c2; c++) logit += hidden2[c]! * weight3[c]!;
    scores[j] = logit;
  }
  return scores;
}

/** Standardised features [length + K − 1][count] with rows of zeros for hidden columns and beyond both ends. */
function standardised(
  { mean, scale, kernel }: SiteScorer,
  { features, values, visible }: ScoredSite,
  from: number,
  length: number,
  count: number,
): Float64Array {
  const half = (kernel - 1) / 2;
  const width = visible.length === 0 ? 0 : values.length / visible.length;
  const z = new Float64Array((length + kernel - 1) * count);
  for (let j = 0; j < length; j++) {
    if (!(visible[from + j]! > 0)) continue;
    const to = (j + half) * count;
    const phi = (from + j) * attentionFeatureCount;
    const value = (from + j) * width - attentionFeatureCount;
    for (let i = 0; i < count; i++) {
      const x = i < attentionFeatureCount ? features[phi + i]! : values[value + i]!;
      const scaled = (x - mean[i]!) * scale[i]!;
      z[to + i] = scaled > featureLimit ? featureLimit : scaled < -featureLimit ? -featureLimit : scaled;
    }
  }
  return z;
}

/** out += x·w for `inputs` numbers of x from `from`, w [inputs][out] from `weightsFrom`; four outputs at a time. */
function add(
  out: Float64Array,
  x: Float64Array,
  from: number,
  inputs: number,
  w: Float64Array,
  weightsFrom: number,
): void {
  const outputs = out.length;
  for (let c = 0; c < outputs; c += 4) {
    let [a, b, d, e] = [out[c]!, out[c + 1]!, out[c + 2]!, out[c + 3]!];
    for (let i = 0, at = weightsFrom + c; i < inputs; i++, at += outputs) {
      const value = x[from + i]!;
      a += value * w[at]!;
      b += value * w[at + 1]!;
      d += value * w[at + 2]!;
      e += value * w[at + 3]!;
    }
    out[c] = a;
    out[c + 1] = b;
    out[c + 2] = d;
    out[c + 3] = e;
  }
}

function rectify(values: Float64Array): void {
  for (let c = 0; c < values.length; c++) if (values[c]! < 0) values[c] = 0;
}

function siteScorer(tensors: DetectorTensors, site: number, row: number): SiteScorer {
  const rowOf = ({ shape, data }: Tensor): Float32Array => {
    const size = shape.slice(1).reduce((product, dim) => product * dim, 1);
    return (data as Float32Array).subarray(row * size, (row + 1) * size);
  };
  const [, c1 = 0, features = 0, kernel = 1] = tensors.conv1_weight.shape;
  const c2 = tensors.conv2_weight.shape[1] ?? 0;
  const [full1, full2] = [fourfold(c1), fourfold(c2)];
  const weight1 = new Float64Array(kernel * features * full1);
  const conv1 = rowOf(tensors.conv1_weight);
  for (let c = 0; c < c1; c++) {
    for (let i = 0; i < features; i++) {
      for (let k = 0; k < kernel; k++) {
        weight1[(k * features + i) * full1 + c] = conv1[(c * features + i) * kernel + k]!;
      }
    }
  }
  const weight2 = new Float64Array(full1 * full2);
  const conv2 = rowOf(tensors.conv2_weight);
  for (let c = 0; c < c2; c++) for (let i = 0; i < c1; i++) weight2[i * full2 + c] = conv2[c * c1 + i]!;
  const filled = (values: Float32Array, length: number): Float64Array => {
    const full = new Float64Array(length);
    full.set(values);
    return full;
  };
  return {
    site,
    features,
    kernel,
    mean: Float64Array.from(rowOf(tensors.feature_mean)),
    scale: Float64Array.from(rowOf(tensors.feature_scale)),
    weight1,
    bias1: filled(rowOf(tensors.conv1_bias), full1),
    weight2,
    bias2: filled(rowOf(tensors.conv2_bias), full2),
    weight3: filled(rowOf(tensors.conv3_weight), full2),
    bias3: rowOf(tensors.conv3_bias)[0]!,
    gate: rowOf(tensors.thresholds)[0]!,
    firstKey: Number(tensors.settings.data[settingIndex.firstKey]),
  };
}

function fourfold(count: number): number {
  return Math.ceil(count / 4) * 4;
}
