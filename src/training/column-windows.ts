/** Standardised windows over the key axis, exactly as the op sees them: limited to ±12, hidden and missing keys are 0. */
import { featureLimit } from "../hotfix/constants.ts";
import {
  featureRange,
  type FeatureSet,
  type SampleColumns,
  type SiteColumns,
  type Standardisation,
} from "./columns.ts";

export interface WindowOptions {
  readonly features: FeatureSet;
  readonly kernel: 1 | 3;
  readonly standardisation: Standardisation;
}

/** Number of inputs of one window: K · features used. */
export function windowInputs(width: number, options: Pick<WindowOptions, "features" | "kernel">): number {
  const [from, to] = featureRange(options.features, width);
  return options.kernel * (to - from);
}

/** Writes the window around (sample, key) to `out` at `at`: [K][features used]. */
export function writeWindow(
  columns: SiteColumns,
  sample: number,
  key: number,
  options: WindowOptions,
  out: Float32Array,
  at: number,
): void {
  const { width } = columns;
  const { keys, visible, features } = columns.samples[sample] as SampleColumns;
  const { mean, scale } = options.standardisation;
  const [from, to] = featureRange(options.features, width);
  const half = (options.kernel - 1) / 2;
  let write = at;
  for (let near = key - half; near <= key + half; near++) {
    if (near < 0 || near >= keys || visible[near] !== 1) {
      out.fill(0, write, write + to - from);
      write += to - from;
      continue;
    }
    const row = near * width;
    for (let f = from; f < to; f++) {
      const z = ((features[row + f] as number) - (mean[f] as number)) * (scale[f] as number);
      out[write] = z > featureLimit ? featureLimit : z < -featureLimit ? -featureLimit : z;
      write += 1;
    }
  }
}
