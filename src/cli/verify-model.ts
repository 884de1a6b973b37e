/** Runs a model and its instrumented form side by side. */
import { InferenceSession, type Tensor as OrtTensor } from "onnxruntime-node";
import type { InferenceEngine, RunResult } from "../engine/engine.ts";
import { fromOrtTensor, toOrtTensor } from "../engine/ort-tensors.ts";
import { AtPatchError, messageOf } from "../shared/errors.ts";
import { floatValues } from "../shared/float-bits.ts";
import { hotfixNames, modeCodes, type Mode } from "../shared/patched-model.ts";
import type { Tensor } from "../shared/tensor.ts";
import type { GraphOptimization } from "./opened-model.ts";

export type Tensors = Readonly<Record<string, Tensor>>;

export interface Difference {
  readonly name: string;
  readonly max_abs: number;
  /** Largest |a − b| over the largest |a| of the output. */
  readonly max_rel: number;
}

/** Answers of the untouched model to several batches. @throws AtPatchError ATPATCH_UNPROCESSABLE when the runtime refuses them */
export async function runOriginal(
  path: string,
  batches: readonly Tensors[],
  optimization: GraphOptimization,
): Promise<Tensors[]> {
  const session = await InferenceSession.create(path, {
    intraOpNumThreads: 1,
    graphOptimizationLevel: optimization,
  });
  try {
    const answers: Tensors[] = [];
    for (const inputs of batches) {
      const feeds = Object.entries(inputs).map(([name, tensor]) => [name, toOrtTensor(name, tensor)]);
      const outputs = await session.run(Object.fromEntries(feeds) as Record<string, OrtTensor>);
      answers.push(
        Object.fromEntries(
          Object.entries(outputs).map(([name, tensor]) => [name, fromOrtTensor(name, tensor)]),
        ),
      );
    }
    return answers;
  } catch (error) {
    throw new AtPatchError(
      "ATPATCH_UNPROCESSABLE",
      `the model does not run on these inputs: ${messageOf(error)}; give inputs it takes with --inputs`,
      { cause: error },
    );
  } finally {
    await session.release();
  }
}

/** The batch with every sample replaced by the last one. */
export function repeatLast(inputs: Tensors, batch: number): Tensors {
  const repeated = Object.entries(inputs).map(([name, tensor]) => {
    const data = tensor.data.slice();
    const size = data.length / batch;
    if (tensor.shape[0] === batch) {
      for (let sample = 0; sample < batch - 1; sample++) data.copyWithin(sample * size, (batch - 1) * size);
    }
    return [name, { ...tensor, data }] as const;
  });
  return Object.fromEntries(repeated);
}

/**
 * Outputs in which the original itself lets a sample depend on its neighbours: similarities between samples, quantisation
 * scales taken over the batch, outputs without one row per sample. Of them, unflagged samples prove nothing.
 * @param repeated answers to {@link repeatLast}
 */
export function coupledOutputs(expected: Tensors, repeated: Tensors, batch: number): string[] {
  return Object.keys(expected).filter((name) => {
    const [a, b] = [{ [name]: expected[name] as Tensor }, { [name]: repeated[name] as Tensor }];
    return expected[name]?.shape[0] !== batch || !sameBits(a, b, batch, [batch - 1]);
  });
}

/** How far two sets of outputs are apart. */
export function differences(expected: Tensors, actual: Tensors): Difference[] {
  return Object.entries(expected).map(([name, tensor]) => {
    const [a, b] = [numbersOf(tensor), numbersOf(actual[name] as Tensor)];
    let [difference, size] = [a.length === b.length ? 0 : Infinity, 0];
    for (let i = 0; i < a.length; i++) {
      const [x, y] = [a[i] as number, b[i] as number];
      if (Number.isNaN(x) && Number.isNaN(y)) continue;
      // Equal infinities differ by nothing.
      difference = Math.max(difference, x === y ? 0 : Math.abs(x - y));
      if (Number.isFinite(x)) size = Math.max(size, Math.abs(x));
    }
    return { name, max_abs: difference, max_rel: size === 0 ? difference : difference / size };
  });
}

function numbersOf(tensor: Tensor): ArrayLike<number> {
  if (tensor.data instanceof BigInt64Array || tensor.data instanceof BigUint64Array)
    return Array.from(tensor.data, Number);
  return floatValues(tensor);
}

/** One run of the instrumented model with the neutral detector. */
export function runPatched(
  engine: InferenceEngine,
  inputs: Tensors,
  batch: number,
  modeOf: (sample: number) => Mode,
  force?: Readonly<Record<number, Tensor>>,
  outputs?: readonly string[],
): Promise<RunResult> {
  return engine.run({
    inputs,
    batch,
    modes: Int32Array.from({ length: batch }, (_, sample) => modeCodes[modeOf(sample)]),
    detector: null,
    ...(force && { force }),
    ...(outputs && { outputs }),
  });
}

/** Forces one key column (the second, or the only one) of every axis for the samples named. */
export function forcedColumns(
  { flags }: RunResult,
  batch: number,
  forced: (sample: number) => boolean,
): Record<number, Tensor> {
  return Object.fromEntries(
    flags.map(({ keys }, axis) => {
      const data = new Uint8Array(batch * keys);
      for (let sample = 0; sample < batch; sample++) {
        if (forced(sample)) data[sample * keys + Math.min(1, keys - 1)] = 1;
      }
      return [axis, { datatype: "BOOL" as const, shape: [batch, keys], data }];
    }),
  );
}

/** Whether the rows of the samples hold the same bits in every output that has one row per sample. */
export function sameBits(a: Tensors, b: Tensors, batch: number, samples: readonly number[]): boolean {
  return Object.entries(a).every(([name, { shape, data }]) => {
    if (shape[0] !== batch) return true;
    const other = (b[name] as Tensor).data;
    const bytes = data.byteLength / batch;
    const rows = (from: Tensor["data"], sample: number): Buffer =>
      Buffer.from(from.buffer, from.byteOffset + sample * bytes, bytes);
    return samples.every((sample) => rows(data, sample).equals(rows(other, sample)));
  });
}

/** Whether all outputs hold the same bits. */
export function allSameBits(a: Tensors, b: Tensors): boolean {
  const bytes = ({ data }: Tensor): Buffer => Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return Object.entries(a).every(([name, tensor]) => bytes(tensor).equals(bytes(b[name] as Tensor)));
}

export interface RowSums {
  /** Largest |sum of a patched row − sum of the same row before|. */
  readonly max_deviation: number;
  /** Largest |sum − 1| over rows that summed to 1 before, within 1e-3. */
  readonly max_from_one: number;
  /** Smallest patched entry, and the largest one where the map was 0 in all heads. */
  readonly lowest: number;
  readonly masked: number;
}

/** What forced columns did to the maps, over all sites. */
export function rowSums({ outputs }: RunResult, sites: number): RowSums {
  const sums = { max_deviation: 0, max_from_one: 0, lowest: Infinity, masked: 0 };
  for (let site = 0; site < sites; site++) {
    const before = outputs[hotfixNames.tap("map", site)] as Tensor;
    const [map, patched] = [before, outputs[hotfixNames.tap("patched", site)] as Tensor].map(
      ({ data }) => data as Float32Array,
    ) as [Float32Array, Float32Array];
    const [, heads = 1, queries = 1, keys = 1] = before.shape;
    for (let row = 0; row < map.length / keys; row++) {
      let [sumBefore, sumAfter] = [0, 0];
      for (let key = 0; key < keys; key++) {
        const at = row * keys + key;
        sumBefore += map[at] as number;
        sumAfter += patched[at] as number;
        sums.lowest = Math.min(sums.lowest, patched[at] as number);
        if ((map[at] as number) === 0 && patched[at] !== 0 && isMasked(map, row, key, heads, queries, keys)) {
          sums.masked = Math.max(sums.masked, patched[at] as number);
        }
      }
      sums.max_deviation = Math.max(sums.max_deviation, Math.abs(sumAfter - sumBefore));
      if (Math.abs(sumBefore - 1) < 1e-3)
        sums.max_from_one = Math.max(sums.max_from_one, Math.abs(sumAfter - 1));
    }
  }
  return sums;
}

/** Whether no head of the sample lets this query see this key. */
function isMasked(
  map: Float32Array,
  row: number,
  key: number,
  heads: number,
  queries: number,
  keys: number,
): boolean {
  const sample = Math.floor(row / (heads * queries));
  const query = row % queries;
  for (let head = 0; head < heads; head++) {
    if ((map[((sample * heads + head) * queries + query) * keys + key] as number) !== 0) return false;
  }
  return true;
}
