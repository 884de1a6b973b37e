/**
 * Holds a patched model against the original: with nothing flagged it must compute the same, samples that are not flagged
 * must not notice those that are, and repaired rows must keep their sums.
 */
import type { BareSession } from "../engine/bare-session.ts";
import type { InferenceEngine, RunResult } from "../engine/engine.ts";
import { hotfixNames, modeCodes } from "../shared/patched-model.ts";
import type { Tensor } from "../shared/tensor.ts";
import { difference, rowSumError, sameSample, type Difference } from "./compare.ts";

/** Row sums may move by this much: float32 sums over the keys. */
export const rowSumTolerance = 1e-5;

export interface Verification {
  readonly passed: boolean;
  readonly sites: number;
  readonly samples: number;
  /** Original against patched with nothing flagged, per output and the worst of them. */
  readonly outputs: Readonly<Record<string, Difference>>;
  readonly worst: Difference;
  readonly tolerance: number;
  /** Nothing flagged against mode off, bit for bit. */
  readonly unflaggedIdentical: boolean;
  readonly mixedBatch: {
    /** Unflagged samples beside flagged ones against mode off, bit for bit. */
    readonly identical: boolean;
    readonly unflaggedSamples: number;
    /** Outputs in which the original itself couples the samples of a batch; they prove nothing here. */
    readonly coupledOutputs: readonly string[];
  };
  readonly forced: {
    readonly rowSumError: number;
    /** Whether forcing a column changed any output. */
    readonly changesOutput: boolean;
  };
  /** Attention maps of the run with mode off, by site. */
  readonly maps: readonly Tensor[];
}

export interface VerifyParts {
  readonly original: BareSession;
  /** Runs a build with the taps "map" and "patched". */
  readonly engine: InferenceEngine;
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly tolerance: number;
}

/** Runs both models on the same inputs; `inputs` are batch-first. */
export async function verify({ original, engine, inputs, tolerance }: VerifyParts): Promise<Verification> {
  const { description } = engine;
  const names = description.outputs.map(({ name }) => name);
  const batch = Object.values(inputs)[0]?.shape[0] ?? 1;
  const tap = (kind: "map" | "patched"): string[] =>
    description.sites.map(({ index }) => hotfixNames.tap(kind, index));
  const run = (modes: readonly number[], force?: Readonly<Record<number, Tensor>>): Promise<RunResult> =>
    engine.run({
      inputs,
      batch,
      modes: Int32Array.from(modes),
      detector: null,
      outputs: [...names, ...tap("map"), ...tap("patched")],
      ...(force && { force }),
    });
  const all = (mode: number): number[] => Array.from({ length: batch }, () => mode);

  const expected = await original.run(inputs);
  const off = await run(all(modeCodes.off));
  const quiet = await run(all(modeCodes.enforce));
  const outputs = Object.fromEntries(
    names.map((name) => [name, difference(get(quiet.outputs, name), get(expected, name))]),
  );
  const worst = {
    absolute: Math.max(0, ...Object.values(outputs).map((each) => each.absolute)),
    either: Math.max(0, ...Object.values(outputs).map((each) => each.either)),
  };
  const unflaggedIdentical = names.every((name) =>
    sameSample(get(quiet.outputs, name), get(off.outputs, name), 0, 1),
  );

  // Every second sample, from the first on, has a column forced.
  const forced = await run(all(modeCodes.enforce), forceColumns(off, batch));
  const sumErrors = description.sites.map(({ index }) =>
    rowSumError(
      get(forced.outputs, hotfixNames.tap("patched", index)),
      get(forced.outputs, hotfixNames.tap("map", index)),
    ),
  );
  const coupledOutputs = await findCoupledOutputs(original, inputs, expected, batch);
  const unflagged = all(0).flatMap((_, sample) => (sample % 2 === 1 ? [sample] : []));
  const separate = names.filter((name) => !coupledOutputs.includes(name));
  const identical = unflagged.every((sample) =>
    separate.every((name) => sameSample(get(forced.outputs, name), get(off.outputs, name), sample, batch)),
  );
  const rowSums = Math.max(0, ...sumErrors);
  const changesOutput = names.some(
    (name) => !sameSample(get(forced.outputs, name), get(off.outputs, name), 0, 1),
  );
  return {
    passed: worst.either <= tolerance && unflaggedIdentical && identical && rowSums <= rowSumTolerance,
    sites: description.sites.length,
    samples: batch,
    outputs,
    worst,
    tolerance,
    unflaggedIdentical,
    mixedBatch: { identical, unflaggedSamples: unflagged.length, coupledOutputs },
    forced: { rowSumError: rowSums, changesOutput },
    maps: tap("map").map((name) => get(off.outputs, name)),
  };
}

/** The second key column of every axis (the first is the pooled token), in every second sample. */
function forceColumns(off: RunResult, batch: number): Record<number, Tensor> {
  return Object.fromEntries(
    off.flags.map(({ keys }, axis) => {
      const column = Math.min(1, keys - 1);
      const data = Uint8Array.from({ length: batch * keys }, (_, i) =>
        i % keys === column && Math.floor(i / keys) % 2 === 0 ? 1 : 0,
      );
      return [axis, { datatype: "BOOL" as const, shape: [batch, keys], data }];
    }),
  );
}

/**
 * Outputs in which a sample depends on its neighbours already in the original: similarity matrices between samples,
 * quantisation scales taken over the batch, outputs without a batch. Found by repeating the first sample everywhere else.
 */
async function findCoupledOutputs(
  original: BareSession,
  inputs: Readonly<Record<string, Tensor>>,
  expected: Readonly<Record<string, Tensor>>,
  batch: number,
): Promise<string[]> {
  const last = batch - 1;
  const shuffled = Object.fromEntries(
    Object.entries(inputs).map(([name, tensor]) => [name, repeatSample(tensor, last, batch)]),
  );
  const outputs = await original.run(shuffled);
  return Object.keys(expected).filter((name) => {
    const [a, b] = [get(expected, name), get(outputs, name)];
    return a.shape[0] !== batch || a.shape.join() !== b.shape.join() || !sameSample(a, b, last, batch);
  });
}

/** The batch with every sample replaced by sample `index`. */
function repeatSample(tensor: Tensor, index: number, batch: number): Tensor {
  if (tensor.shape[0] !== batch) return tensor;
  const size = tensor.data.length / batch;
  const data = tensor.data.slice();
  for (let sample = 0; sample < batch; sample++)
    data.copyWithin(sample * size, index * size, (index + 1) * size);
  return { ...tensor, data };
}

function get(tensors: Readonly<Record<string, Tensor>>, name: string): Tensor {
  const found = tensors[name];
  if (!found) throw new Error(`the run returned no ${name}`);
  return found;
}
