/** Localisation of a whole debug set, as the `localize` verb reports it. */
import type { ColumnPlace } from "../tasks/task.ts";
import { localizeWith } from "./gather.ts";
import { failingSamples } from "./localize.ts";
import type { ModelRuns } from "./model-runs.ts";
import { benignReference } from "./reference.ts";
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

export interface SetLocalization {
  readonly samples: readonly LocatedSample[];
  readonly found: Rate;
  readonly passes: number;
  /** Samples of the failing set that the model answers rightly. */
  readonly answered_rightly: number;
}

/** Searches every failing sample that is answered wrongly, also those whose columns the set names. */
export async function localizeSet(
  runs: ModelRuns,
  progress: (stage: string, done: number, all: number) => void,
): Promise<SetLocalization> {
  const { samples } = runs.store;
  const asks = samples.map((_, sample) => ({ sample, mode: "off" as const }));
  const answers = await runs.answers(asks, {
    detector: null,
    progress: (done, all) => progress("answering", done, all),
  });
  const failing = failingSamples(
    samples,
    answers.map(({ logits }) => logits),
  );
  const clean = samples.flatMap(({ set }, i) => (set === "clean" ? [i] : []));
  const reference = await benignReference(runs, clean, (done, all) => progress("averaging", done, all));
  const found = await localizeWith(runs, reference, failing, progress);
  const prepared = await runs.store.prepare(found.map(({ sample }) => sample));
  return {
    samples: found.map(({ sample, answer, columns, margin, marginAfter, passes }, i) => ({
      id: samples[sample]?.id as string,
      columns,
      places: columns.map((column) => (prepared[i] as PreparedSample).locate(column)),
      answer: runs.task.labels[answer] ?? String(answer),
      margin_before: margin,
      margin_after: marginAfter,
      passes,
    })),
    found: wilson(found.filter(({ columns }) => columns.length > 0).length, found.length),
    passes: found.reduce((sum, { passes }) => sum + passes, 0),
    answered_rightly: samples.filter(({ set }) => set === "failing").length - failing.length,
  };
}
