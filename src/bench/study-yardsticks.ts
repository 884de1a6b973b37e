/** What to compare a detector with: the unpatched model, the true columns repaired, equally many others repaired. */
import type { Judged } from "../training/judged.ts";
import { predicted, type ModelRuns } from "../training/model-runs.ts";
import { Random } from "../training/random.ts";
import type { PublishedReferences } from "../training/references.ts";
import type { StudyContext } from "./study-context.ts";
import { countsOf } from "./study-counts.ts";

type ColumnsOf = (sample: number) => readonly number[];

export async function studyYardsticks(
  test: ModelRuns,
  published: PublishedReferences,
  { has, record }: StudyContext,
): Promise<void> {
  const { samples } = test.store;
  const answers = async (columns: ColumnsOf, detector: string | null): Promise<number[]> => {
    const mode = detector === null ? ("off" as const) : ("enforce" as const);
    const asks = samples.map((_, sample) => ({ sample, mode, columns: columns(sample) }));
    return (await test.answers(asks, { detector })).map(({ logits }) => predicted(logits));
  };
  const unpatched = await answers(() => [], null);
  const add = async (variant: string, columns: ColumnsOf): Promise<void> => {
    if (has("yardstick", variant, 0)) return;
    const began = performance.now();
    const patched = await answers(columns, await published.id("benign"));
    const judged = samples.map(({ set, label }, sample): Judged => ({
      sample,
      set,
      label,
      unpatched: unpatched[sample] as number,
      patched: patched[sample] as number,
      triggered: columns(sample).length > 0,
      columns: columns(sample),
    }));
    const seconds = (performance.now() - began) / 1000;
    record({ group: "yardstick", variant, seed: 0, form: "", test: countsOf(judged), seconds });
  };
  await add("unpatched", () => []);
  const known: ColumnsOf = (sample) => samples[sample]?.columns ?? [];
  if (!samples.some((_, sample) => known(sample).length > 0)) return;
  await add("true columns repaired", known);
  const random = new Random(0, "random columns");
  const { firstKey } = test.task.layout;
  const others = samples.map((_, sample) => {
    const keys = Array.from({ length: test.keysOf(sample) }, (__, key) => key);
    const free = keys.filter((key) => key >= firstKey && !known(sample).includes(key));
    return random.shuffled(free).slice(0, known(sample).length);
  });
  await add("random columns repaired", (sample) => others[sample] as number[]);
}
