/** Localisation of a whole debug set, as the `localize` verb reports it. */
import type { ColumnPlace } from "../tasks/task.ts";
import type { BenignReference } from "./reference.ts";
import { benignReference } from "./reference.ts";
import { localizeWith } from "./gather.ts";
import { failingSamples, type FailingSample, type LocalizedSample } from "./localize.ts";
import { median } from "./median.ts";
import { margin, predicted, type ModelRuns } from "./model-runs.ts";
import { Random } from "./random.ts";
import type { PreparedSample } from "./sample-store.ts";
import { wilson, type Rate } from "./wilson.ts";

export interface LocatedSample {
  readonly id: string;
  /** Needed columns; empty when no window changed the answer. */
  readonly columns: readonly number[];
  readonly places: readonly (ColumnPlace | null)[];
  /** The wrong answer, and its logit minus the largest other one before and after the repair. */
  readonly answer: string;
  readonly margin_before: number;
  readonly margin_after: number | null;
  readonly passes: number;
}

/** What the same search does to samples that are answered rightly: a decisive word or patch flips those too. */
export interface CleanComparison {
  readonly searched: number;
  /** Samples whose right answer some window changed. */
  readonly flipped: Rate;
  readonly margin_drop: number | null;
}

export interface SetLocalization {
  readonly samples: readonly LocatedSample[];
  readonly found: Rate;
  /** Median drop of the wrong answer's margin over the samples with found columns. */
  readonly margin_drop: number | null;
  readonly clean: CleanComparison;
  readonly passes: number;
  /** Samples of the failing set that the model answers rightly. */
  readonly answered_rightly: number;
}

export interface LocalizeSetOptions {
  /** Samples that were searched before, by id. */
  readonly known?: ReadonlyMap<string, LocatedSample>;
  /** Called with samples whose search has ended, a few at a time. */
  readonly found?: (samples: readonly LocatedSample[]) => Promise<void>;
  readonly progress: (stage: string, done: number, all: number) => void;
}

/** Samples searched in step: enough to fill batches, few enough to lose little when a run is stopped. */
const together = 16;
/** Clean samples that are searched for comparison. */
const compared = 16;

/** Searches every failing sample that is answered wrongly, also those whose columns the set names. */
export async function localizeSet(runs: ModelRuns, options: LocalizeSetOptions): Promise<SetLocalization> {
  const { samples } = runs.store;
  const { known = new Map<string, LocatedSample>(), progress } = options;
  const asks = samples.map((_, sample) => ({ sample, mode: "off" as const }));
  const answers = await runs.answers(asks, {
    detector: null,
    progress: (done, all) => progress("answering", done, all),
  });
  const logits = answers.map((answer) => answer.logits);
  const failing = failingSamples(samples, logits);
  const clean = samples.flatMap(({ set }, i) => (set === "clean" ? [i] : []));
  const reference = await benignReference(runs, clean, (done, all) => progress("averaging", done, all));

  const idOf = ({ sample }: FailingSample): string => samples[sample]?.id ?? "";
  const located = new Map(
    failing.flatMap((each) => (known.has(idOf(each)) ? [[idOf(each), known.get(idOf(each))!]] : [])),
  );
  const open = failing.filter((each) => !located.has(idOf(each)));
  for (let start = 0; start < open.length; start += together) {
    const chunk = open.slice(start, start + together);
    const done = failing.length - open.length + start;
    const found = await localizeWith(runs, reference, chunk, (stage, ended) =>
      progress(stage, done + ended, failing.length),
    );
    const described = await describe(runs, found);
    for (const sample of described) located.set(sample.id, sample);
    await options.found?.(described);
  }
  const all = failing.map((each) => located.get(idOf(each)) as LocatedSample);
  const hits = all.filter(({ columns }) => columns.length > 0);
  return {
    samples: all,
    found: wilson(hits.length, all.length),
    margin_drop: median(hits.map((hit) => hit.margin_before - (hit.margin_after ?? hit.margin_before))),
    clean: await compare(runs, reference, logits, clean, progress),
    passes: all.reduce((sum, { passes }) => sum + passes, 0),
    answered_rightly: samples.filter(({ set }) => set === "failing").length - failing.length,
  };
}

async function describe(runs: ModelRuns, found: readonly LocalizedSample[]): Promise<LocatedSample[]> {
  const prepared = await runs.store.prepare(found.map(({ sample }) => sample));
  return found.map(({ sample, answer, columns, margin: before, marginAfter, passes }, i) => ({
    id: runs.store.samples[sample]?.id ?? "",
    columns,
    places: columns.map((column) => (prepared[i] as PreparedSample).locate(column)),
    answer: runs.task.labels[answer] ?? String(answer),
    margin_before: before,
    margin_after: marginAfter,
    passes,
  }));
}

/** The same search on a few clean samples that are answered rightly, drawn at random. */
async function compare(
  runs: ModelRuns,
  reference: BenignReference,
  logits: readonly Float32Array[],
  clean: readonly number[],
  progress: LocalizeSetOptions["progress"],
): Promise<CleanComparison> {
  const right = clean.flatMap((sample): FailingSample[] => {
    const own = logits[sample] as Float32Array;
    const answer = predicted(own);
    const isRight = answer === runs.store.samples[sample]?.label;
    return isRight ? [{ sample, answer, margin: margin(own, answer) }] : [];
  });
  const chosen = new Random(0, "comparison").shuffled(right).slice(0, compared);
  const found = await localizeWith(runs, reference, chosen, (_stage, done, all) =>
    progress("comparing with clean samples", done, all),
  );
  const flipped = found.filter(({ columns }) => columns.length > 0);
  return {
    searched: found.length,
    flipped: wilson(flipped.length, found.length),
    margin_drop: median(flipped.map((each) => each.margin - (each.marginAfter ?? each.margin))),
  };
}
