/** The detector of `hotfix/detect.ts` in plain TypeScript (double precision). */
import { featureLimit } from "../constants.ts";

/** One site's detector, unstacked. Weights as in `shared/detector-tensors.ts`. */
export interface SiteDetector {
  readonly mean: ArrayLike<number>;
  readonly scale: ArrayLike<number>;
  readonly features: number;
  readonly channels1: number;
  readonly channels2: number;
  readonly kernel: number;
  readonly conv1Weight: ArrayLike<number>;
  readonly conv1Bias: ArrayLike<number>;
  readonly conv2Weight: ArrayLike<number>;
  readonly conv2Bias: ArrayLike<number>;
  readonly conv3Weight: ArrayLike<number>;
  readonly conv3Bias: ArrayLike<number>;
  /** τ_hi and τ_lo. */
  readonly gate: number;
  readonly column: number;
  readonly firstKey: number;
  readonly maxFlaggedShare: number;
}

/**
 * Logits of every key column.
 * @param features [F][Tk], not yet standardised
 */
export function referenceLogits(
  features: readonly (readonly number[])[],
  visible: readonly boolean[],
  detector: SiteDetector,
): number[] {
  const { features: f, channels1: c1, channels2: c2, kernel } = detector;
  const keys = visible.length;
  const half = (kernel - 1) / 2;
  const get = (values: ArrayLike<number>, index: number): number => values[index] ?? 0;
  const standardised = features.map((row, i) =>
    row.map((x, j) => {
      const z = (x - get(detector.mean, i)) * get(detector.scale, i);
      return visible[j] ? Math.max(-featureLimit, Math.min(featureLimit, z)) : 0;
    }),
  );
  const logits: number[] = [];
  for (let j = 0; j < keys; j++) {
    const hidden1: number[] = [];
    for (let c = 0; c < c1; c++) {
      let total = get(detector.conv1Bias, c);
      for (let i = 0; i < f; i++) {
        for (let k = 0; k < kernel; k++) {
          total +=
            get(detector.conv1Weight, (c * f + i) * kernel + k) * (standardised[i]?.[j + k - half] ?? 0);
        }
      }
      hidden1.push(Math.max(0, total));
    }
    let logit = get(detector.conv3Bias, 0);
    for (let c = 0; c < c2; c++) {
      let total = get(detector.conv2Bias, c);
      for (let i = 0; i < c1; i++) total += get(detector.conv2Weight, c * c1 + i) * (hidden1[i] ?? 0);
      logit += get(detector.conv3Weight, c) * Math.max(0, total);
    }
    logits.push(logit);
  }
  return logits;
}

/**
 * Columns the detector flags in one sample: gate, column threshold, at most k_max with the carried ones, highest logit
 * first.
 */
export function referenceFlags(
  logits: readonly number[],
  visible: readonly boolean[],
  carried: readonly boolean[],
  detector: SiteDetector,
): boolean[] {
  const candidates = logits
    .map((logit, j) => ({ logit, j }))
    .filter(({ logit, j }) => visible[j] && j >= detector.firstKey && logit >= detector.column);
  if (!candidates.some(({ logit }) => logit >= detector.gate)) return logits.map(() => false);
  const most = Math.max(1, Math.floor(visible.filter(Boolean).length * detector.maxFlaggedShare));
  const room = Math.max(0, most - carried.filter(Boolean).length);
  const chosen = candidates
    .filter(({ j }) => !carried[j])
    .toSorted((a, b) => b.logit - a.logit || a.j - b.j)
    .slice(0, room);
  return logits.map((_, j) => chosen.some((column) => column.j === j));
}
