/** The study of a table model with a protected attribute: the forced column, a detector for it, and what else there is. */
import type { OpenedModel } from "../cli/opened-model.ts";
import { openBatchEngine, withEngine } from "../cli/opened-model.ts";
import { parseBundle } from "../detector/bundle.ts";
import type { Task } from "../tasks/task.ts";
import { protectedAttributes } from "../tasks/protected.ts";
import type { DebugSample } from "../training/debug-set.ts";
import { ModelRuns } from "../training/model-runs.ts";
import { referenceTaps } from "../training/reference.ts";
import { SampleStore } from "../training/sample-store.ts";
import { tableFairness, type AttributeFairness } from "../training/table-fairness.ts";
import { train } from "../training/train.ts";
import type { StudyContext } from "./study-context.ts";

export async function studyTable(
  model: OpenedModel,
  task: Task,
  { debug, test }: { readonly debug: readonly DebugSample[]; readonly test: readonly DebugSample[] },
  { seeds, has, record, quick, wants }: StudyContext,
): Promise<void> {
  const { favourable, columns = [] } = model.folder.settings;
  if (favourable === undefined) return;
  const [attribute] = protectedAttributes(columns);
  if (!attribute) return;
  await withEngine(await openBatchEngine(model, { taps: referenceTaps }), async (engine) => {
    const runs = new ModelRuns(engine, task, new SampleStore(task, test));
    const measure = async (variant: string, seed: number, detect: boolean): Promise<void> => {
      if (!wants(variant) || has("table", variant, seed)) return;
      const began = performance.now();
      const options = { falseFlagRate: 0.02, maxAltered: 0.005, seed, detect, acceptPartial: true };
      const trained = await train(engine, task, debug, options).catch((error: Error) => error.message);
      const seconds = (): number => (performance.now() - began) / 1000;
      if (typeof trained === "string") {
        record({
          group: "table",
          variant,
          seed,
          form: `refused: ${trained.slice(0, 200)}`,
          test: null,
          seconds: seconds(),
        });
        return;
      }
      const { id, tensors } = parseBundle(trained.bundle);
      await engine.publish(id, tensors);
      const [found] = await tableFairness(runs, {
        attributes: [attribute],
        favourable,
        detector: id,
        baselines: !detect && !quick,
      });
      await engine.retire(id);
      const row = (name: string, form: string, figures: AttributeFairness): void =>
        record({
          group: "table",
          variant: name,
          seed,
          form,
          test: null,
          figures: flat(figures),
          seconds: seconds(),
        });
      if (!found) return;
      if (!detect) {
        row("unpatched", "", found.unpatched);
        for (const { name, passes, figures } of found.baselines) row(name, `${passes} passes`, figures);
      }
      row(variant, trained.report.verdict, found.patched);
    };
    await measure("protected column repaired", 0, false);
    for (const seed of seeds) await measure("detector", seed, true);
  });
}

function flat(fairness: AttributeFairness): Record<string, number | null> {
  const value = (of: unknown): number | null =>
    typeof of === "number"
      ? of
      : typeof of === "object" && of !== null
        ? ((of as { value: number | null }).value ?? null)
        : null;
  return Object.fromEntries(Object.entries(fairness).map(([name, of]) => [name, value(of)]));
}
