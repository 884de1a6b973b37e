/** What every server is asked: one clean sample of the model's own, as tensors. */
import { join } from "node:path";
import { openModel } from "../../cli/opened-model.ts";
import { readDebugFile } from "../../cli/files.ts";
import { instrument } from "../../hotfix/instrument.ts";
import { createTask } from "../../tasks/create-task.ts";
import type { Tensor } from "../../shared/tensor.ts";

export interface Question {
  readonly model: string;
  /** Path of the model file. */
  readonly path: string;
  readonly inputs: Readonly<Record<string, Tensor>>;
  /** Output whose greatest entry is the answer. */
  readonly output: string;
}

/** The first sample of the model's `golden.jsonl.gz`. @throws AtPatchError ATPATCH_NOT_FOUND, ATPATCH_BAD_MODEL */
export async function readQuestion(models: string, model: string): Promise<Question> {
  const opened = await openModel(join(models, model));
  const { description } = instrument(opened.file);
  const task = await createTask(opened.folder, description);
  const { samples } = await readDebugFile(join(models, model, "golden.jsonl.gz"), task.labels.length);
  const { inputs } = await task.prepare([samples[0]?.instance]);
  return { model, path: opened.path, inputs, output: description.outputs[0]!.name };
}
