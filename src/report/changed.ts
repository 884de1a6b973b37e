/** The clean samples that are answered differently with the patch, one by one. */
import type { ColumnPlace } from "../tasks/task.ts";
import type { DebugSample } from "../training/debug-set.ts";
import type { Judged } from "../training/judged.ts";
import type { ModelRuns } from "../training/model-runs.ts";
import type { ChangedAnswer } from "./data.ts";
import { pictureOf } from "./picture.ts";
import { excerptOf } from "./sample-content.ts";

/** Samples that are listed. */
const mostListed = 40;

export async function changedAnswers(
  { task, store }: Pick<ModelRuns, "task" | "store">,
  judged: readonly Judged[],
): Promise<ChangedAnswer[]> {
  const changed = judged.filter(({ set, patched, unpatched }) => set === "clean" && patched !== unpatched);
  const listed = changed.slice(0, mostListed);
  const prepared = await store.prepare(listed.map(({ sample }) => sample));
  const nameOf = (index: number): string => task.labels[index] ?? String(index);
  return Promise.all(
    listed.map(async ({ sample, label, unpatched, patched, columns }, i) => {
      const { id, instance } = store.samples[sample] as DebugSample;
      const own = prepared[i]!;
      return {
        id,
        label: nameOf(label),
        before: nameOf(unpatched),
        after: nameOf(patched),
        effect: unpatched === label ? "lost" : patched === label ? "won" : "wrong either way",
        flagged: columns.map((column) => placeText(own.locate(column), column)).join(", "),
        picture: task.layout.kind === "grid" ? await pictureOf(Object.values(own.inputs)[0]) : null,
        excerpt: excerptOf(instance),
      } as const;
    }),
  );
}

function placeText(place: ColumnPlace | null, column: number): string {
  if (place === null) return `key ${column}`;
  if ("patch" in place) return `patch ${place.patch.join("/")}`;
  return "token" in place ? place.token : place.feature;
}
