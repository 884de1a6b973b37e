/** Detectors of one trigger on the others of the same model. */
import type { ModelRuns } from "../training/model-runs.ts";
import type { StudyContext } from "./study-context.ts";
import { countsOf } from "./study-counts.ts";
import { judgeDetector, makeDetector, type Workshop } from "./study-make.ts";
import { triggerGroups } from "./study-triggers.ts";

/** Failing samples of one trigger that a detector is fitted to, and judged on, at least. */
const fewest = { fitted: 8, judged: 20 } as const;

export async function studyTriggers(
  workshop: Workshop,
  test: ModelRuns,
  { seeds, has, record }: StudyContext,
): Promise<void> {
  const { gathered, runs } = workshop;
  const found = new Map([...gathered.data.labels].map(([sample, { positive }]) => [sample, positive]));
  const known = new Map(
    test.store.samples.flatMap(({ columns, set }, i) => (set === "failing" && columns ? [[i, columns]] : [])),
  );
  const own = await triggerGroups(runs.store, found, fewest.fitted);
  const theirs = await triggerGroups(test.store, known, fewest.judged);
  const names = [...own.keys()].filter((name) => theirs.has(name)).sort();
  if (names.length < 2) return;
  for (const seed of seeds) {
    for (const name of names) {
      if (has("trigger", name, seed)) continue;
      const began = performance.now();
      const failing = own.get(name) as number[];
      const part = { ...gathered, data: { ...gathered.data, failing } };
      const made = await makeDetector(workshop, part, { name }, seed, null);
      const judged = made.tensors && (await judgeDetector(test, made.tensors));
      const attackOn = (wanted: (trigger: string) => boolean): number | null => {
        if (!judged) return null;
        const of = names.filter(wanted).flatMap((trigger) => theirs.get(trigger) as number[]);
        const [hits, all] = countsOf(judged.filter(({ sample }) => of.includes(sample))).attack;
        return hits / all;
      };
      record({
        group: "trigger",
        variant: name,
        seed,
        form: `${failing.length} failing samples; ${made.form}`,
        test: judged && countsOf(judged),
        figures: {
          own: attackOn((other) => other === name),
          others: attackOn((other) => other !== name),
        },
        seconds: (performance.now() - began) / 1000,
      });
    }
  }
}
