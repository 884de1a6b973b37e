/** Whether failing samples that no detector is there for could be repaired at all. */
import type { Refusal } from "../report/data.ts";
import type { DebugSample } from "../training/debug-set.ts";
import { referenceTaps } from "../training/reference.ts";
import { train } from "../training/train.ts";
import { TrainingRefusal } from "../training/training-refusal.ts";
import { defaultRepairOptions } from "../service/repair-job.ts";
import { AtPatchError } from "../shared/errors.ts";
import { openBatchEngine, taskOf, withEngine, type OpenedModel } from "./opened-model.ts";
import type { Output } from "./output.ts";

/** Samples that are asked: more say little more and take longer. */
const most = { clean: 1000, failing: 100 } as const;

/**
 * Trains with the default settings and keeps nothing of it.
 * @returns the refusal with its findings; null when a detector can be made, or the set is too small to tell
 */
export async function diagnose(
  model: OpenedModel,
  samples: readonly DebugSample[],
  output: Output,
): Promise<Refusal | null> {
  const asked = (["clean", "failing"] as const).flatMap((kind) =>
    samples.filter(({ set }) => set === kind).slice(0, most[kind]),
  );
  if (!asked.some(({ set }) => set === "failing")) return null;
  return withEngine(await openBatchEngine(model, { taps: referenceTaps }), async (engine) => {
    try {
      await train(engine, await taskOf(model, engine), asked, {
        ...defaultRepairOptions,
        progress: (stage, done, all) => output.progress(`asking for the cause: ${stage}`, done, all),
      });
      output.note("a detector can be made from these failures: atpatch train");
      return null;
    } catch (error) {
      if (error instanceof TrainingRefusal) return { message: error.message, findings: error.findings };
      if (error instanceof AtPatchError && error.code === "ATPATCH_TRAINING") {
        output.note(`no cause was looked for: ${error.message}`);
        return null;
      }
      throw error;
    }
  });
}
