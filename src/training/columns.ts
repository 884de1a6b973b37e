/** What was collected about the key columns of samples at one site. Samples keep their own length; nothing is padded. */
import { attentionFeatureCount } from "../shared/detector-tensors.ts";
import type { BundleMetadata } from "../detector/bundle.ts";

/** The key columns of one sample at one site. */
export interface SampleColumns {
  readonly keys: number;
  /** [keys]: 1 for visible keys. */
  readonly visible: Uint8Array;
  /** [keys, width]: φ (11), then the value vector (H·d). */
  readonly features: Float32Array;
}

/** One site over all samples. */
export interface SiteColumns {
  readonly site: number;
  /** 11 + H·d. */
  readonly width: number;
  readonly samples: readonly SampleColumns[];
}

/** One key column of one sample. */
export interface ColumnRef {
  readonly sample: number;
  readonly key: number;
}

export type FeatureSet = BundleMetadata["features"];

/** First and last + 1 of the features a set uses, in a row of `width`. */
export function featureRange(features: FeatureSet, width: number): readonly [from: number, to: number] {
  return [
    features === "value" ? attentionFeatureCount : 0,
    features === "attention" ? attentionFeatureCount : width,
  ];
}

/** Benign mean and 1/std per feature, in the float32 numbers that the bundle will hold. */
export interface Standardisation {
  readonly mean: Float32Array;
  readonly scale: Float32Array;
}

/**
 * Mean and 1/std over the visible columns of the given (clean) samples. A feature that never varies gets scale 0: what
 * was never seen to vary must not decide later.
 */
export function standardisation(columns: SiteColumns, samples: readonly number[]): Standardisation {
  const { width } = columns;
  const sum = new Float64Array(width);
  const square = new Float64Array(width);
  let count = 0;
  const everyRow = (visit: (data: Float32Array, at: number) => void): void => {
    for (const index of samples) {
      const sample = columns.samples[index] as SampleColumns;
      for (let key = 0; key < sample.keys; key++) {
        if (sample.visible[key] === 1) visit(sample.features, key * width);
      }
    }
  };
  everyRow((data, at) => {
    count += 1;
    for (let f = 0; f < width; f++) sum[f]! += data[at + f] as number;
  });
  const mean = sum.map((total) => total / Math.max(count, 1));
  everyRow((data, at) => {
    for (let f = 0; f < width; f++) square[f]! += ((data[at + f] as number) - (mean[f] as number)) ** 2;
  });
  const scale = square.map((total, f) => {
    const deviation = Math.sqrt(total / Math.max(count, 1));
    return deviation > 1e-6 * (1 + Math.abs(mean[f] as number)) ? 1 / deviation : 0;
  });
  return { mean: Float32Array.from(mean), scale: Float32Array.from(scale) };
}
