/**
 * Benign attention c and benign value V̄ of every site, from clean samples. Models of fixed length: means per position
 * and head. Otherwise: per head, ρ = mean of attention over the row's uniform mass, and the mean value, both over
 * ordinary keys (neither the first nor the last visible one).
 */
import { AtPatchError } from "../shared/errors.ts";
import { hotfixNames, type TapKind } from "../shared/patched-model.ts";
import { elementCount, float32, type Tensor } from "../shared/tensor.ts";
import { reportOf } from "./collect.ts";
import type { ModelRuns } from "./model-runs.ts";
import { SiteMeans, type SiteReference } from "./site-means.ts";

export interface BenignReference {
  /** Whether `attention` is ρ, to be multiplied by uniform mass, or attention itself. */
  readonly ratio: boolean;
  /** float32 [S, H, Tq or 1, Tk or 1] */
  readonly attention: Tensor;
  /** float32 [S, Hv, Tk or 1, d] */
  readonly value: Tensor;
  /** Key positions the reference is bound to, or null when it fits any length. */
  readonly keys: number | null;
}

/** The taps that {@link benignReference} reads. */
export const referenceTaps = ["map"] as const satisfies readonly TapKind[];

/** Samples that are averaged at most: more do not move a mean that matters. */
const maxSamples = 256;
/** Bytes of maps that one batch may return. */
const maxMapBytes = 64 * 2 ** 20;
/** Above this the mean over queries is kept instead of one row per query, so that the bundle stays in its limit. */
const maxReferenceBytes = 24 * 2 ** 20;

/** @param clean indices of clean samples that were run before; the first 256 are used */
export async function benignReference(
  runs: ModelRuns,
  clean: readonly number[],
  progress?: (done: number, all: number) => void,
): Promise<BenignReference> {
  const chosen = clean.slice(0, maxSamples);
  const { sites } = runs.engine.description;
  const longest = Math.max(1, ...chosen.map((sample) => runs.keysOf(sample)));
  const perSample = sites.reduce((bytes, site) => bytes + 4 * (site.heads ?? 16) * longest ** 2, 0);
  const means = sites.map(() => new SiteMeans());
  await runs.forEachBatch(
    chosen.map((sample) => ({ sample, mode: "observe" as const })),
    {
      detector: null,
      batch: Math.max(1, Math.min(32, Math.floor(maxMapBytes / perSample))),
      outputs: sites.flatMap((site) => referenceTaps.map((kind) => hotfixNames.tap(kind, site.index))),
      report: sites.map(({ index }) => index),
      attention: false,
      ...(progress && { progress }),
    },
    ({ indices, result }) => {
      sites.forEach(({ index }, s) => {
        const map = result.outputs[hotfixNames.tap("map", index)];
        if (!map || !(map.data instanceof Float32Array)) {
          throw new AtPatchError(
            "ATPATCH_INTERNAL",
            `the model was built without the tap "map" of site ${index}`,
          );
        }
        const report = reportOf(result, index);
        for (let row = 0; row < indices.length; row++)
          means[s]?.add(map as Tensor & { data: Float32Array }, report, row);
      });
    },
  );
  const fixed = means.every((site) => site.fixedLength);
  const references = means.map((site) => (fixed ? site.perPosition() : site.perHead()));
  const attention = stackPadded(references.map((reference) => reference.attention));
  const rows = attention.data.byteLength > maxReferenceBytes ? references.map(overQueries) : null;
  return {
    ratio: !fixed,
    attention: rows ? stackPadded(rows) : attention,
    value: stackPadded(references.map((reference) => reference.value)),
    keys: fixed ? Math.max(...references.map((reference) => reference.attention.shape[2] ?? 0)) : null,
  };
}

/** Mean over queries: [H, Tq, Tk] → [H, 1, Tk]. */
function overQueries({ attention }: SiteReference): Tensor {
  const [heads = 0, queries = 0, keys = 0] = attention.shape;
  const mean = new Float32Array(heads * keys);
  for (let h = 0; h < heads; h++) {
    for (let i = 0; i < queries; i++) {
      for (let j = 0; j < keys; j++) {
        mean[h * keys + j]! += (attention.data[(h * queries + i) * keys + j] as number) / queries;
      }
    }
  }
  return float32([heads, 1, keys], mean);
}

/** Stacks tensors of rank 3, each padded with zeros to the largest extent. */
function stackPadded(tensors: readonly Tensor[]): Tensor {
  const extent = [0, 1, 2].map((axis) => Math.max(...tensors.map((tensor) => tensor.shape[axis] ?? 0)));
  const [, rows = 0, columns = 0] = extent;
  const size = elementCount(extent);
  const data = new Float32Array(tensors.length * size);
  tensors.forEach(({ shape, data: from }, s) => {
    const [a = 0, b = 0, c = 0] = shape;
    for (let i = 0; i < a; i++) {
      for (let j = 0; j < b; j++) {
        const source = (from as Float32Array).subarray((i * b + j) * c, (i * b + j + 1) * c);
        data.set(source, s * size + (i * rows + j) * columns);
      }
    }
  });
  return float32([tensors.length, ...extent], data);
}
