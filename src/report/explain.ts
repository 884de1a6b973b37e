/** Runs chosen samples on a build that returns attention maps, before and after the patch. */
import type { InferenceEngine, RunRequest, RunResult } from "../engine/engine.ts";
import { attentionMasses } from "../service/attention-mass.ts";
import { hotfixNames, modeCodes, tapKinds } from "../shared/patched-model.ts";
import { AtPatchError } from "../shared/errors.ts";
import { visibleKeys } from "../shared/site-report.ts";
import type { DebugSample } from "../training/debug-set.ts";
import type { ModelRuns } from "../training/model-runs.ts";
import { stackInputs, type PreparedSample } from "../training/sample-store.ts";
import type { ChosenExample } from "./choose-examples.ts";
import type { Example, SampleAnswer, SiteAttention } from "./data.ts";
import { sampleContent } from "./sample-content.ts";

export interface ExplainOptions {
  /** Runs a model built with all taps; the detector is published on it. */
  readonly engine: InferenceEngine;
  readonly detector: string | null;
  readonly progress?: (done: number, all: number) => void;
}

/** Sites that are shown of a deep model. */
const mostSites = 4;

export async function explainExamples(
  { task, store }: Pick<ModelRuns, "task" | "store">,
  chosen: readonly ChosenExample[],
  { engine, detector, progress }: ExplainOptions,
): Promise<Example[]> {
  // A graph may fix its batch: the sample then fills all of it, and the first row counts.
  const rows = task.batch ?? 1;
  const examples: Example[] = [];
  for (const [i, { judged, why }] of chosen.entries()) {
    progress?.(i, chosen.length);
    const [prepared] = await store.prepare([judged.sample]);
    const { id, instance, label } = store.samples[judged.sample] as DebugSample;
    const run = (mode: "off" | "enforce"): Promise<RunResult> =>
      runOne(engine, stackInputs([prepared as PreparedSample], rows), rows, mode, detector);
    const off = await run("off");
    const on = detector === null ? null : await run("enforce");
    const answer = ({ outputs }: RunResult): SampleAnswer => {
      const [best] = task.predict(outputs, rows, 1);
      return { label: best?.label ?? "", score: best?.score ?? 0 };
    };
    const attention = attentionOf(engine, off, on);
    const keys = attention[0]?.before.length ?? 0;
    examples.push({
      id,
      why,
      label: task.labels[label] ?? String(label),
      before: answer(off),
      after: on && answer(on),
      content: await sampleContent(task, instance, prepared as PreparedSample, keys),
      columns: on === null ? [] : flaggedOf(on),
      attention,
    });
  }
  return examples;
}

async function runOne(
  engine: InferenceEngine,
  inputs: RunRequest["inputs"],
  batch: number,
  mode: "off" | "enforce",
  detector: string | null,
): Promise<RunResult> {
  const { sites, outputs } = engine.description;
  const taps = sites.flatMap(({ index }) => tapKinds.map((kind) => hotfixNames.tap(kind, index)));
  return engine.run({
    inputs,
    batch,
    modes: new Int32Array(batch).fill(modeCodes[mode]),
    detector,
    outputs: [...outputs.map(({ name }) => name), ...taps],
    report: sites.map(({ index }) => index),
  });
}

function flaggedOf({ flags: [axis] }: RunResult): number[] {
  return Array.from(axis?.firstSite.subarray(0, axis.keys) ?? []).flatMap((site, column) =>
    site > 0 ? [column] : [],
  );
}

/** Attention at a few sites of the first key axis, as multiples of what every visible key would get of an even share. */
function attentionOf(
  { description }: InferenceEngine,
  off: RunResult,
  on: RunResult | null,
): SiteAttention[] {
  const first = off.reports?.find(({ site }) => site === description.sites[0]?.index);
  if (first === undefined)
    throw new AtPatchError("ATPATCH_INTERNAL", "a run without the report of its sites");
  const { keys } = first;
  const visible = visibleKeys(first, 0).filter(Boolean).length;
  const usable = description.sites.filter(({ index, kind, axis }) => {
    const report = off.reports?.find(({ site }) => site === index);
    return kind === "self" && axis === 0 && report?.windows === 1 && report.keys === keys;
  });
  const sites = spread(usable, mostSites);
  const multiples = (data: ArrayLike<number | bigint>): number[] =>
    Array.from({ length: keys }, (_, key) => Number((Number(data[key]) * visible).toPrecision(4)));
  const before = attentionMasses(sites, off);
  const after = on && attentionMasses(sites, on);
  return sites.map(({ index }, s) => ({
    site: index,
    before: multiples(before[s]!.before.data as Float32Array),
    after: after && multiples(after[s]!.after.data as Float32Array),
  }));
}

/** The first, the last and evenly spaced ones between. */
export function spread<T>(items: readonly T[], most: number): T[] {
  if (items.length <= most) return [...items];
  const step = (items.length - 1) / (most - 1);
  return Array.from({ length: most }, (_, i) => items[Math.round(i * step)]!);
}
