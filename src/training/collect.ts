/** Collects features and values of every key column at the chosen sites, and the unpatched logits, in one pass. */
import type { RunResult } from "../engine/engine.ts";
import { attentionFeatureCount } from "../shared/detector-tensors.ts";
import { AtPatchError } from "../shared/errors.ts";
import { hotfixNames, type TapKind } from "../shared/patched-model.ts";
import type { SampleColumns, SiteColumns } from "./columns.ts";
import type { ModelRuns } from "./model-runs.ts";

export interface Collected {
  /** Unpatched logits per sample. */
  readonly logits: readonly Float32Array[];
  readonly sites: readonly SiteColumns[];
}

/** The taps that {@link collect} reads; the engine's model must be built with them. */
export const collectTaps = ["features", "values", "visible"] as const satisfies readonly TapKind[];

/**
 * @param sites indices of the sites to collect
 * @throws AtPatchError ATPATCH_TRAINING for windowed attention, whose columns are not those of the whole sample
 */
export async function collect(
  runs: ModelRuns,
  sites: readonly number[],
  progress?: (done: number, all: number) => void,
): Promise<Collected> {
  const logits: Float32Array[] = [];
  const collected = sites.map((site) => ({ site, width: 0, samples: [] as SampleColumns[] }));
  const asks = runs.store.samples.map((_, sample) => ({ sample, mode: "observe" as const }));
  const outputs = [
    ...runs.engine.description.outputs.map(({ name }) => name),
    ...sites.flatMap((site) => collectTaps.map((kind) => hotfixNames.tap(kind, site))),
  ];
  await runs.forEachBatch(
    asks,
    { detector: null, outputs, ...(progress && { progress }) },
    ({ indices, result }) => {
      runs.task
        .logits(result.outputs, indices.length)
        .forEach((row, r) => (logits[indices[r] as number] = row));
      for (const entry of collected) {
        const features = tapOf(result, "features", entry.site, indices.length);
        const values = tapOf(result, "values", entry.site, indices.length);
        const visible = tapOf(result, "visible", entry.site, indices.length);
        entry.width = attentionFeatureCount + values.width;
        indices.forEach(
          (index, row) => (entry.samples[index] = sampleColumns(features, values, visible.data, row)),
        );
      }
    },
  );
  return { logits, sites: collected };
}

/** A tap as rows: data of [B, keys, width]. */
export interface Tap {
  readonly data: Float32Array;
  readonly keys: number;
  readonly width: number;
}

/** Reads a tap with one row per sample. @throws AtPatchError ATPATCH_TRAINING when it has more (windows) */
export function tapOf(result: RunResult, kind: TapKind, site: number, batch: number): Tap {
  const tensor = result.outputs[hotfixNames.tap(kind, site)];
  if (!(tensor?.data instanceof Float32Array)) {
    throw new AtPatchError(
      "ATPATCH_INTERNAL",
      `the model was built without the tap "${kind}" of site ${site}`,
    );
  }
  const [rows, keys = 0, width = 1] = tensor.shape;
  if (rows !== batch) {
    throw new AtPatchError(
      "ATPATCH_TRAINING",
      `site ${site} attends inside windows: a detector for windowed attention cannot be trained yet`,
    );
  }
  return { data: tensor.data, keys, width };
}

/** One sample of a batch, cut after its last visible key. */
function sampleColumns(features: Tap, values: Tap, visible: Float32Array, row: number): SampleColumns {
  const seen = Uint8Array.from(visible.subarray(row * features.keys, (row + 1) * features.keys));
  const keys = seen.lastIndexOf(1) + 1;
  const width = features.width + values.width;
  const data = new Float32Array(keys * width);
  for (let key = 0; key < keys; key++) {
    const from = row * features.keys + key;
    data.set(features.data.subarray(from * features.width, (from + 1) * features.width), key * width);
    data.set(
      values.data.subarray(from * values.width, (from + 1) * values.width),
      key * width + features.width,
    );
  }
  return { keys, visible: seen.subarray(0, keys), features: data };
}
