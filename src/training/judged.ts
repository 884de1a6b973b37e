/** A test set answered twice: without and with the patch. */
import { predicted, type Answer, type ModelRuns } from "./model-runs.ts";

/** A test sample with both predictions. */
export interface Judged {
  /** Position in the test set. */
  readonly sample: number;
  readonly set: "clean" | "failing";
  readonly label: number;
  readonly unpatched: number;
  readonly patched: number;
  readonly triggered: boolean;
  /** Flagged key columns of the first axis. */
  readonly columns: readonly number[];
}

/** Runs every sample with the hot-fix off and enforced. */
export async function judgeSamples(
  runs: ModelRuns,
  detector: string | null,
  progress: (done: number, all: number) => void,
): Promise<Judged[]> {
  const { samples } = runs.store;
  const pass = (mode: "off" | "enforce", done: number): Promise<Answer[]> =>
    runs.answers(
      samples.map((_, sample) => ({ sample, mode })),
      { detector, progress: (n) => progress(done + n, 2 * samples.length) },
    );
  const unpatched = await pass("off", 0);
  const patched = await pass("enforce", samples.length);
  return samples.map(({ set, label }, sample) => {
    const [before, after] = [unpatched[sample] as Answer, patched[sample] as Answer];
    return {
      sample,
      set,
      label,
      unpatched: predicted(before.logits),
      patched: predicted(after.logits),
      triggered: after.triggered,
      columns: after.columns,
    };
  });
}

/** The most frequent wrong unpatched answer; the smaller class of equals, null when nothing is answered wrongly. */
export function mostFrequentWrong(failing: readonly Judged[]): number | null {
  const counts = new Map<number, number>();
  for (const { unpatched, label } of failing) {
    if (unpatched !== label) counts.set(unpatched, (counts.get(unpatched) ?? 0) + 1);
  }
  const ordered = [...counts].sort(([a, m], [b, n]) => n - m || a - b);
  return ordered[0]?.[0] ?? null;
}
