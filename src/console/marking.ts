/** Says that an answer was wrong, and what would have been right. */
import { ask } from "./confirm.ts";
import { field, h } from "./dom.ts";
import { tell, tellFailure } from "./notices.ts";
import type { Workbench } from "./workbench.ts";

export interface Marked {
  readonly requestId: string;
  readonly sample: number;
  /** What was answered. */
  readonly label: string;
}

/** Asks for the true class and marks the sample as failing. @returns whether it was marked */
export async function markWrong(bench: Workbench, { requestId, sample, label }: Marked): Promise<boolean> {
  const { model } = bench.view!;
  if (model.recorder.mode === "off") {
    tellFailure(
      new Error(
        "Nothing is recorded, so the sample cannot be marked. Start the server with ATPATCH_RECORD=inputs.",
      ),
    );
    return false;
  }
  const options = model.labels.map((name) => h("option", { value: name, selected: name === label }, name));
  const right = h("select", { required: true }, ...options);
  const answer = await ask({
    title: "What is right?",
    text: `The model answered "${label}". Marked samples become the debug set that a repair is made from.`,
    action: "Mark as wrong",
    asksReason: false,
    fields: [field("True class", right)],
  });
  if (answer === null) return false;
  const mark = { request_id: requestId, sample, label: right.value, set: "failing" };
  const worked = await bench.act(() => bench.api.mark(bench.name, mark));
  if (worked) tell(`Marked as wrong: it is "${right.value}".`);
  return worked;
}
