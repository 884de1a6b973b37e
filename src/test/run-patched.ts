/** Runs a patched model straight in a session, for tests of the graph itself. */
import * as ort from "onnxruntime-node";
import { DetectorFeeds } from "../engine/detector-feeds.ts";
import type { DetectorTensors } from "../shared/detector-tensors.ts";
import { hotfixNames } from "../shared/patched-model.ts";

export interface PatchedRun {
  readonly inputs: Readonly<Record<string, ort.Tensor>>;
  readonly modes: readonly number[];
  readonly detector: DetectorTensors;
  /** Sites that report their features; none when absent. */
  readonly report?: readonly number[];
  /** Key positions to force, per axis, in every sample. */
  readonly force?: Readonly<Record<number, { columns: readonly number[]; keys: number }>>;
}

/** All outputs of one run. */
export async function runPatched(
  session: ort.InferenceSession,
  run: PatchedRun,
): Promise<Record<string, ort.Tensor>> {
  const batch = run.modes.length;
  const observed = run.modes.some((mode) => mode !== 0);
  const feeds: Record<string, ort.Tensor> = {
    ...run.inputs,
    ...new DetectorFeeds(run.detector).for({ observed, report: run.report ?? [], attention: true }).feeds,
    [hotfixNames.mode]: new ort.Tensor("int32", Int32Array.from(run.modes), [batch]),
  };
  for (const name of session.inputNames) {
    const axis = /^atpatch\.force\.(\d+)$/.exec(name)?.[1];
    if (axis === undefined) continue;
    const force = run.force?.[Number(axis)];
    const keys = force?.keys ?? 1;
    const data = Uint8Array.from({ length: batch * keys }, (_, k) =>
      force?.columns.includes(k % keys) ? 1 : 0,
    );
    feeds[name] = new ort.Tensor("bool", data, [batch, keys]);
  }
  return session.run(feeds);
}

/** float32 data of an output. */
export function floats(outputs: Readonly<Record<string, ort.Tensor>>, name: string): Float32Array {
  const output = outputs[name];
  if (!output) throw new Error(`the run has no output ${name}`);
  return output.data as Float32Array;
}
