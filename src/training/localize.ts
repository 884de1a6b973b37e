/** Anomalous columns of failing samples: many searches at once, the candidates of a round in common batches. */
import type { KeyLayout } from "../tasks/task.ts";
import type { DebugSample } from "./debug-set.ts";
import { windowRounds } from "./key-windows.ts";
import { margin, predicted, type ModelRuns } from "./model-runs.ts";
import type { PreparedSample } from "./sample-store.ts";
import { searchColumns, type ColumnSearch, type Found } from "./search-columns.ts";

/** One failing sample and the answer it fails with. */
export interface FailingSample {
  readonly sample: number;
  readonly answer: number;
  /** Margin of that answer with nothing forced. */
  readonly margin: number;
}

export interface LocalizedSample extends FailingSample, Found {}

/** The samples of the failing set that the model does answer wrongly. */
export function failingSamples(
  samples: readonly DebugSample[],
  logits: readonly Float32Array[],
): FailingSample[] {
  return samples.flatMap(({ set, label }, sample) => {
    const own = logits[sample] as Float32Array;
    const answer = predicted(own);
    return set === "failing" && answer !== label ? [{ sample, answer, margin: margin(own, answer) }] : [];
  });
}

/**
 * Searches all samples in step. Each must have been run once before.
 * @param detector a published detector that carries the benign reference and flags nothing by itself
 * @param progress called with the number of samples whose search has ended, of all, and the passes so far
 */
export async function localize(
  runs: ModelRuns,
  failing: readonly FailingSample[],
  detector: string,
  progress?: (found: number, all: number, passes: number) => void,
): Promise<LocalizedSample[]> {
  const { layout } = runs.task;
  const results: LocalizedSample[] = [];
  let open: { at: number; search: ColumnSearch; candidates: number[][] }[] = [];
  let passes = 0;
  const advance = (at: number, search: ColumnSearch, step: IteratorResult<number[][], Found>): void => {
    if (step.done) results[at] = { ...(failing[at] as FailingSample), ...step.value };
    else open.push({ at, search, candidates: step.value });
  };
  const prepared = await runs.store.prepare(failing.map(({ sample }) => sample));
  failing.forEach(({ sample }, at) => {
    const columns = searchable(layout, prepared[at] as PreparedSample, runs.keysOf(sample));
    const search = searchColumns(windowRounds(layout, columns));
    advance(at, search, search.next());
  });

  while (open.length > 0) {
    const asked = open;
    open = [];
    const asks = asked.flatMap(({ at, candidates }) =>
      candidates.map((columns) => ({
        sample: (failing[at] as FailingSample).sample,
        mode: "enforce" as const,
        columns,
      })),
    );
    const answers = await runs.answers(asks, {
      detector,
      progress: (done) => progress?.(failing.length - asked.length, failing.length, passes + done),
    });
    passes += asks.length;
    let next = 0;
    for (const { at, search, candidates } of asked) {
      const { answer } = failing[at] as FailingSample;
      const trials = answers.slice(next, next + candidates.length).map(({ logits }) => ({
        margin: margin(logits, answer),
        flips: predicted(logits) !== answer,
      }));
      next += candidates.length;
      advance(at, search, search.next(trials));
    }
    progress?.(failing.length - open.length, failing.length, passes);
  }
  return results;
}

/** Columns behind `firstKey` that stand for something in the sample; all of them when the task cannot tell of any. */
export function searchable(layout: KeyLayout, sample: PreparedSample, keys: number): number[] {
  const end = layout.kind === "grid" ? Math.min(keys, layout.firstKey + layout.rows * layout.columns) : keys;
  const behind = Array.from({ length: Math.max(0, end - layout.firstKey) }, (_, i) => layout.firstKey + i);
  const known = behind.filter((column) => sample.locate(column) !== null);
  return known.length > 0 ? known : behind;
}
