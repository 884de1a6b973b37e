/** Everything before the first fit: unpatched answers, collected columns, benign reference, anomalous columns. */
import { AtPatchError } from "../shared/errors.ts";
import { collect } from "./collect.ts";
import { detectorTensors } from "./detector-tensors.ts";
import { ringAround, type SampleLabels, type TokenSpan } from "./labels.ts";
import { failingSamples, localize, type LocalizedSample } from "./localize.ts";
import { median } from "./median.ts";
import { predicted, type ModelRuns } from "./model-runs.ts";
import { Random } from "./random.ts";
import { benignReference, type BenignReference } from "./reference.ts";
import type { LocalizationReport } from "./report.ts";
import type { PreparedSample } from "./sample-store.ts";
import type { TrainingData } from "./training-data.ts";
import { wilson } from "./wilson.ts";

export interface Gathered {
  /** With the columns of the first site. */
  readonly data: TrainingData;
  /** The next site with the same key columns, or null. */
  readonly secondSite: number | null;
  readonly reference: BenignReference;
  readonly localization: LocalizationReport;
}

/** Failing samples that are searched for columns at most: more of them teach little and take long. */
const mostSearched = 200;

export async function gatherData(
  runs: ModelRuns,
  progress: (stage: string, done: number, all: number) => void,
): Promise<Gathered> {
  const { samples } = runs.store;
  const { sites } = runs.engine.description;
  const [first, second] = sites.filter((site) => site.kind === "self" && site.axis === sites[0]?.axis);
  if (!first)
    throw new AtPatchError("ATPATCH_TRAINING", "the model's first attention site is no self-attention");
  const collected = await collect(runs, [first.index], (done, all) => progress("collecting", done, all));
  const clean = samples.flatMap(({ set }, i) => (set === "clean" ? [i] : []));
  const reference = await benignReference(runs, clean, (done, all) => progress("averaging", done, all));

  const wrong = failingSamples(samples, collected.logits);
  const unknown = wrong.filter(({ sample }) => samples[sample]?.columns === null);
  const chosen = new Random(0, "searched").shuffled(unknown).slice(0, mostSearched);
  const searched = chosen.sort((a, b) => a.sample - b.sample);
  const aside = new Set(unknown.filter((each) => !searched.includes(each)));
  const failing = wrong.filter((each) => !aside.has(each));
  const found = await localizeWith(runs, reference, searched, progress);
  const columnsOf = new Map<number, readonly number[]>(found.map(({ sample, columns }) => [sample, columns]));
  for (const { sample } of failing) {
    const given = samples[sample]?.columns ?? null;
    if (given === null) continue;
    checkColumns(runs, sample, given);
    columnsOf.set(sample, given);
  }
  const labels = await labelsOf(runs, columnsOf);
  const failed = samples.filter(({ set }) => set === "failing").length;
  const hits = found.filter(({ columns }) => columns.length > 0);
  return {
    data: {
      samples,
      layout: runs.task.layout,
      sites: collected.sites,
      answers: collected.logits.map(predicted),
      clean,
      failing: failing.map(({ sample }) => sample),
      labels,
    },
    secondSite: second?.index ?? null,
    reference,
    localization: {
      failing: failed,
      answered_rightly: failed - wrong.length,
      set_aside: aside.size,
      columns_given: failing.length - searched.length,
      searched: searched.length,
      found: wilson(hits.length, searched.length),
      passes: found.reduce((sum, { passes }) => sum + passes, 0),
      margin_before: median(hits.map((hit) => hit.margin)),
      margin_after: median(hits.map((hit) => hit.marginAfter ?? 0)),
    },
  };
}

/** Localises with a detector that only carries the reference. */
export async function localizeWith(
  runs: ModelRuns,
  reference: BenignReference,
  failing: Parameters<typeof localize>[1],
  progress: (stage: string, done: number, all: number) => void,
): Promise<LocalizedSample[]> {
  if (failing.length === 0) return [];
  const id = "localization";
  await runs.engine.publish(
    id,
    detectorTensors({
      sites: runs.engine.description.sites.length,
      detection: [],
      reference,
      kind: "benign",
      firstKey: runs.task.layout.firstKey,
    }),
  );
  try {
    return await localize(runs, failing, id, (done, all) => progress("localising", done, all));
  } finally {
    await runs.engine.retire(id);
  }
}

function checkColumns(runs: ModelRuns, sample: number, columns: readonly number[]): void {
  const keys = runs.keysOf(sample);
  const beyond = columns.find((column) => column >= keys);
  if (beyond === undefined) return;
  throw new AtPatchError(
    "ATPATCH_BAD_DEBUG_SET",
    `debug set: sample "${runs.store.samples[sample]?.id}": columns: ${beyond} is no key position, the sample has ${keys}`,
  );
}

async function labelsOf(
  runs: ModelRuns,
  columnsOf: ReadonlyMap<number, readonly number[]>,
): Promise<Map<number, SampleLabels>> {
  const known = [...columnsOf].filter(([, columns]) => columns.length > 0);
  const prepared = await runs.store.prepare(known.map(([sample]) => sample));
  return new Map(
    known.map(([sample, positive], i) => {
      const keys = runs.keysOf(sample);
      const spans = tokenSpans(prepared[i] as PreparedSample, keys);
      return [sample, { sample, positive, ring: ringAround(positive, runs.task.layout, keys, spans) }];
    }),
  );
}

/** Spans of the key columns that are tokens of a text. */
function tokenSpans(sample: PreparedSample, keys: number): Map<number, TokenSpan> {
  const spans = new Map<number, TokenSpan>();
  for (let key = 0; key < keys; key++) {
    const place = sample.locate(key);
    if (place && "token" in place) spans.set(key, { start: place.start, end: place.end });
  }
  return spans;
}
