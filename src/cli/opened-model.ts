/** A model as the verbs use it: its folder, its file, engines over it and its task. */
import { stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname } from "node:path";
import { openEngine } from "../compose-engine.ts";
import type { InferenceEngine } from "../engine/engine.ts";
import { instrument } from "../hotfix/instrument.ts";
import { AtPatchError } from "../shared/errors.ts";
import type { ModelFile } from "../shared/model-file.ts";
import type { TapKind } from "../shared/patched-model.ts";
import { createTask } from "../tasks/create-task.ts";
import { readModelFile } from "../tasks/model-file.ts";
import { readModelFolder, type ModelFolder } from "../tasks/model-folder.ts";
import type { Task } from "../tasks/task.ts";

/** Graph optimisation level of the runtime. */
export type GraphOptimization = "disabled" | "all";

export interface OpenedModel {
  readonly folder: ModelFolder;
  readonly file: ModelFile;
  /** Path of the model file, and of the folder it lies in. */
  readonly path: string;
  readonly directory: string;
}

/**
 * Reads a model folder or an `.onnx` file.
 * @throws AtPatchError ATPATCH_NOT_FOUND, ATPATCH_BAD_MODEL
 */
export async function openModel(path: string): Promise<OpenedModel> {
  if (!(await stat(path).catch(() => null))) {
    throw new AtPatchError("ATPATCH_NOT_FOUND", `there is no model folder or file "${path}"`);
  }
  const folder = await readModelFolder(path);
  const { absolute } = folder.model;
  return {
    folder,
    file: await readModelFile(absolute),
    path: absolute,
    directory: dirname(absolute),
  };
}

/** An engine for work in batches: one worker a core, one thread each, no deadline that matters. */
export async function openBatchEngine(
  model: OpenedModel,
  options: {
    readonly taps?: readonly TapKind[];
    readonly workers?: number;
    readonly optimization?: GraphOptimization;
  } = {},
): Promise<InferenceEngine> {
  const patched = instrument(model.file, { taps: options.taps ?? [] });
  return openEngine(patched, model.directory, {
    workers: options.workers ?? Math.min(4, availableParallelism()),
    threads: 1,
    queue: 256,
    deadlineMs: 3_600_000,
    recheck: true,
    ...(options.optimization && { execution: { graphOptimization: options.optimization } }),
  });
}

/** The task of the model. @throws AtPatchError ATPATCH_BAD_MODEL, ATPATCH_MODEL_REFUSED */
export function taskOf(model: OpenedModel, engine: InferenceEngine): Promise<Task> {
  return createTask(model.folder, engine.description);
}

/** Runs with an engine and closes it whatever happens. */
export async function withEngine<T>(
  engine: InferenceEngine,
  use: (engine: InferenceEngine) => Promise<T>,
): Promise<T> {
  try {
    return await use(engine);
  } finally {
    await engine.close();
  }
}
