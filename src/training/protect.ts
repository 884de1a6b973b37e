/**
 * The patch for protected attributes of a table: their columns are repaired in every sample, with the benign attention and
 * value that the clean samples have on average. Nothing is detected, so nothing is missed: what such a column holds
 * reaches no other position, and no answer depends on it.
 */
import { encodeBundle } from "../detector/bundle.ts";
import type { DetectorTensors } from "../shared/detector-tensors.ts";
import { AtPatchError } from "../shared/errors.ts";
import { tensor } from "../shared/tensor.ts";
import { detectorTensors } from "./detector-tensors.ts";
import { evaluate } from "./evaluate.ts";
import type { ModelRuns } from "./model-runs.ts";
import { benignReference } from "./reference.ts";
import type { ProtectionReport } from "./report.ts";
import type { Trained, TrainProgress } from "./train.ts";

/** Fewest clean samples whose means say what an ordinary sample looks like. */
const fewestClean = 50;

/**
 * @param runs over an engine built with the taps of training
 * @param columns key positions of the protected columns, rising
 * @throws AtPatchError ATPATCH_TRAINING when there are too few clean samples or their lengths differ
 */
export async function protect(
  runs: ModelRuns,
  columns: readonly number[],
  provenance: Readonly<Record<string, unknown>>,
  progress: TrainProgress,
): Promise<Trained> {
  const { samples } = runs.store;
  const { description } = runs.engine;
  const clean = samples.flatMap(({ set }, i) => (set === "clean" ? [i] : []));
  if (clean.length < fewestClean) {
    throw new AtPatchError(
      "ATPATCH_TRAINING",
      `the debug set has ${clean.length} clean samples, at least ${fewestClean} are needed to know what is ordinary`,
    );
  }
  const reference = await benignReference(runs, clean, (done, all) => progress("averaging", done, all));
  const { keys } = reference;
  if (keys === null) {
    throw new AtPatchError(
      "ATPATCH_TRAINING",
      "protected columns need samples that all have the same columns",
    );
  }
  const tensors: DetectorTensors = {
    ...detectorTensors({
      sites: description.sites.length,
      detection: [],
      reference,
      kind: "benign",
      firstKey: runs.task.layout.firstKey,
    }),
    forced: tensor(
      "BOOL",
      [keys],
      Uint8Array.from({ length: keys }, (_, key) => (columns.includes(key) ? 1 : 0)),
    ),
  };
  const id = "self-check";
  await runs.engine.publish(id, tensors);
  try {
    const {
      target,
      clean: cleanFigures,
      failing,
    } = await evaluate(runs, {
      detector: id,
      progress: (done, all) => progress("checking", done, all),
    });
    const report: ProtectionReport = {
      verdict: "protected",
      protected: namesOf(runs, columns),
      self_check: { target, clean: cleanFigures, failing },
    };
    const bundle = encodeBundle(
      {
        format: 1,
        model: description.fingerprint,
        sites: description.sites.length,
        detectionSites: [],
        features: "attention+value",
        kernel: 1,
        reference: "benign",
        keys,
        forced: columns,
        thresholds: [],
        provenance,
        report: { ...report },
      },
      tensors,
    );
    return { bundle, report };
  } finally {
    await runs.engine.retire(id);
  }
}

function namesOf({ task: { layout } }: ModelRuns, columns: readonly number[]): string[] {
  const names = layout.kind === "features" ? layout.names : [];
  return columns.map((column) => names[column - layout.firstKey] ?? String(column));
}
