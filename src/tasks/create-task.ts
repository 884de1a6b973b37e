/** Chooses how a model's instances are read, from its folder and its inputs. */
import { AtPatchError } from "../shared/errors.ts";
import type { PatchDescription } from "../shared/patched-model.ts";
import { createClassScores } from "./class-scores.ts";
import { createImageTask, imageInput } from "./image.ts";
import { parseImageProcessor } from "./image-processor.ts";
import { FolderFiles } from "./folder-files.ts";
import { fileLimits, type Inferred, type ModelFolder } from "./model-folder.ts";
import { patchGrid } from "./patch-grid.ts";
import { createTabularTask } from "./tabular.ts";
import { createTensorTask } from "./tensor.ts";
import { createTextTask, isTextModel } from "./text.ts";
import { createTokenizer, type TextTokenizer } from "./tokenizer.ts";
import type { Task, TaskKind } from "./task.ts";

/** What of a patched model decides on its task. */
export type TaskModel = Pick<PatchDescription, "inputs" | "outputs" | "sites">;

/** The kind of a model and which file says so. */
export function inferTaskKind(
  folder: ModelFolder,
  model: TaskModel,
): Inferred & { readonly value: TaskKind } {
  const say = (value: TaskKind, from: string) => ({ what: "task", value, from });
  if (folder.settings.task) return say(folder.settings.task, "atpatch.json");
  const [first, ...others] = model.inputs;
  if (folder.tokenizer && isTextModel(model.inputs)) {
    return say("text-classification", folder.tokenizer.relative);
  }
  if (folder.preprocessor && first && others.length === 0 && imageInput(first)) {
    return say("image-classification", "preprocessor_config.json");
  }
  if (folder.settings.columns) return say("tabular-classification", "atpatch.json columns");
  return say("tensor", "the model's inputs");
}

/**
 * The task of a model folder.
 * @throws AtPatchError ATPATCH_BAD_MODEL when files of the folder contradict the model or each other
 */
export async function createTask(folder: ModelFolder, model: TaskModel): Promise<Task> {
  const { value: kind } = inferTaskKind(folder, model);
  const scores = createClassScores(folder, model.outputs);
  const { limits, firstKey = 1 } = folder.settings;
  switch (kind) {
    case "image-classification": {
      const [input, ...others] = model.inputs;
      const picture = input && imageInput(input);
      if (!picture || others.length > 0)
        throw unfit(kind, "needs a model with one picture as its only input");
      if (!folder.preprocessor) throw unfit(kind, "needs preprocessor_config.json");
      const { height, width } = picture;
      const size = height !== null && width !== null ? { height, width } : null;
      return createImageTask({
        input,
        plan: parseImageProcessor(folder.preprocessor),
        scores,
        grid: patchGrid(folder, size, model),
        firstKey,
        instanceLimit: limits?.instances,
        pixelLimit: limits?.pixels,
      });
    }
    case "text-classification": {
      if (!isTextModel(model.inputs))
        throw unfit(kind, "needs the input input_ids, and none but those of a text encoder");
      return createTextTask({
        inputs: model.inputs,
        tokenizer: await readTokenizer(folder),
        scores,
        maxLength: folder.config?.maxPositions ?? null,
        firstKey: folder.settings.firstKey,
        instanceLimit: limits?.instances,
      });
    }
    case "tabular-classification": {
      const { columns } = folder.settings;
      if (!columns) throw unfit(kind, "needs columns in atpatch.json");
      return createTabularTask({
        inputs: model.inputs,
        columns,
        scores,
        firstKey,
        instanceLimit: limits?.instances,
      });
    }
    case "tensor":
      return createTensorTask({
        inputs: model.inputs,
        scores,
        layout: { kind: "sequence", firstKey },
        instanceLimit: limits?.instances,
      });
  }
}

async function readTokenizer(folder: ModelFolder): Promise<TextTokenizer> {
  if (!folder.tokenizer) throw unfit("text-classification", "needs tokenizer.json");
  const files = await FolderFiles.open(folder.directory);
  const json = await files.json(folder.tokenizer, fileLimits.tokenizer);
  return createTokenizer(json, folder.tokenizerConfig ?? {});
}

function unfit(kind: TaskKind, why: string): AtPatchError {
  return new AtPatchError("ATPATCH_BAD_MODEL", `task ${kind} ${why}`);
}
