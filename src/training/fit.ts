/** Fits the detector of one site on labelled columns, and scores columns with it. */
import { AdamW } from "./adam.ts";
import type { ColumnRef, FeatureSet, SiteColumns, Standardisation } from "./columns.ts";
import { windowInputs, writeWindow, type WindowOptions } from "./column-windows.ts";
import {
  activationsFor,
  backward,
  forward,
  parameters,
  randomNetwork,
  zeroNetwork,
  type Network,
} from "./network.ts";
import type { Random } from "./random.ts";

/** Columns with their labels; whatever is in neither list is left out of the loss. */
export interface LabelledColumns {
  readonly positive: readonly ColumnRef[];
  readonly negative: readonly ColumnRef[];
}

export interface FitOptions {
  readonly features: FeatureSet;
  readonly kernel: 1 | 3;
  readonly standardisation: Standardisation;
  readonly random: Random;
  readonly steps: number;
}

/** A trained detector of one site. Weights are float32 numbers, so that they score as the bundle will. */
export interface FittedSite extends WindowOptions {
  readonly site: number;
  readonly network: Network;
}

/** Settings of the optimiser. */
const rate = 3e-3;
const weightDecay = 1e-2;
/** Columns of each class in a batch; each class has half the weight, negatives are many and get more draws. */
const positivesPerBatch = 64;
const negativesPerBatch = 192;
const windowsPerChunk = 256;

/**
 * Minimises the class-balanced binary cross-entropy of the column logits; the rate falls linearly over the last half.
 * Needs at least one column of each class.
 */
export function fitSite(columns: SiteColumns, labels: LabelledColumns, options: FitOptions): FittedSite {
  const { features, kernel, standardisation, random, steps } = options;
  const window: WindowOptions = { features, kernel, standardisation };
  const inputs = windowInputs(columns.width, window);
  const network = randomNetwork(inputs, random);
  const gradient = zeroNetwork(inputs);
  const optimiser = new AdamW(parameters(network), weightDecay);
  const batch = positivesPerBatch + negativesPerBatch;
  const x = new Float32Array(batch * inputs);
  const slope = new Float64Array(batch);
  const activations = activationsFor(batch);
  const next = [draws(labels.positive, random), draws(labels.negative, random)] as const;

  for (let step = 0; step < steps; step++) {
    for (let n = 0; n < batch; n++) {
      const { sample, key } = next[n < positivesPerBatch ? 0 : 1]();
      writeWindow(columns, sample, key, window, x, n * inputs);
    }
    forward(network, x, batch, activations);
    for (let n = 0; n < batch; n++) {
      const probability = 1 / (1 + Math.exp(-(activations.logits[n] as number)));
      slope[n] =
        n < positivesPerBatch
          ? (probability - 1) / (2 * positivesPerBatch)
          : probability / (2 * negativesPerBatch);
    }
    backward(network, x, batch, activations, slope, gradient);
    optimiser.step(parameters(gradient), rate * Math.min(1, (2 * (steps - step)) / steps));
  }
  for (const values of parameters(network)) values.forEach((value, i) => (values[i] = Math.fround(value)));
  return { site: columns.site, ...window, network };
}

/** Logits of every key column of the given samples, [keys] each; 0 columns for none. */
export function scoreSamples(
  fitted: FittedSite,
  columns: SiteColumns,
  samples: readonly number[],
): Float64Array[] {
  const { inputs } = fitted.network;
  const x = new Float32Array(windowsPerChunk * inputs);
  const activations = activationsFor(windowsPerChunk);
  return samples.map((sample) => {
    const keys = columns.samples[sample]?.keys ?? 0;
    const logits = new Float64Array(keys);
    for (let first = 0; first < keys; first += windowsPerChunk) {
      const count = Math.min(windowsPerChunk, keys - first);
      for (let n = 0; n < count; n++) writeWindow(columns, sample, first + n, fitted, x, n * inputs);
      forward(fitted.network, x, count, activations);
      logits.set(activations.logits.subarray(0, count), first);
    }
    return logits;
  });
}

/** Endless draws: every item once in random order, then again in another. */
function draws<T>(items: readonly T[], random: Random): () => T {
  let order: T[] = [];
  return () => {
    if (order.length === 0) order = random.shuffled(items);
    return order.pop() as T;
  };
}
