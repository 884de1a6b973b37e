/** The composition root of one engine: how many workers and compute threads a model gets, and the engine itself. */
import { availableParallelism } from "node:os";
import { neutralTensors } from "./detector/neutral.ts";
import type { EngineObserver, InferenceEngine } from "./engine/engine.ts";
import { createOrtEngine, type OrtEngineOptions } from "./engine/ort-engine.ts";
import { madeUpInputs } from "./service/made-up-inputs.ts";
import type { Settings } from "./settings.ts";
import type { PatchedModel } from "./shared/patched-model.ts";
import { checkExternalData } from "./tasks/external-data.ts";

/** Worker threads of a model, and compute threads of each. */
export interface Compute {
  readonly workers: number;
  readonly threads: number;
}

/** Settings of one model's engine; requests are joined into runs only where a batch is given. */
export type EngineSettings = Compute &
  Pick<Settings, "queue" | "deadlineMs" | "recheck"> &
  Partial<Pick<Settings, "queueBytes" | "batch" | "batchDelayMs">> &
  Pick<OrtEngineOptions, "execution">;

/** The same where workers and threads may be left to be measured. */
export type ServedEngineSettings = Omit<EngineSettings, keyof Compute> & Pick<Settings, keyof Compute>;

/** Joined runs are filled up to this duration: longer ones save nothing, and others wait for them. */
const fillMs = 10;

/**
 * Starts the engine of a patched model.
 * @throws AtPatchError ATPATCH_BAD_MODEL also when external data is missing
 */
export async function openEngine(
  patched: PatchedModel,
  folder: string,
  settings: EngineSettings,
  observer: EngineObserver = {},
): Promise<InferenceEngine> {
  await checkExternalData(folder, patched.external);
  const neutral = neutralTensors(patched.description.sites.length);
  const { batch = 1, batchDelayMs = 0, ...rest } = settings;
  return createOrtEngine({
    patched,
    folder,
    neutral,
    observer,
    ...rest,
    ...(batch > 1 && { batching: { samples: batch, fillMs, delayMs: batchDelayMs } }),
  });
}

/** A sample of a small model is faster than this on one thread, in ms: sharing it among threads costs more than it saves. */
const smallMs = 20;
/** Weights of this many bytes are never that fast; such a model is not loaded twice to find out. */
const largeBytes = 64 * 2 ** 20;
/** Most workers that are started for a small model. */
const mostWorkers = 8;

/**
 * Starts the engine with workers and threads as they were given; what was left open is chosen by a measurement: small
 * models get a worker for each core with one thread, so that requests run side by side; for others a run is shared by
 * the cores of a worker, so that each answer comes sooner.
 */
export async function openMeasuredEngine(
  patched: PatchedModel,
  folder: string,
  settings: ServedEngineSettings,
  observer: EngineObserver = {},
): Promise<{ engine: InferenceEngine; compute: Compute }> {
  const cores = availableParallelism();
  const open = async (compute: Compute): Promise<{ engine: InferenceEngine; compute: Compute }> => ({
    engine: await openEngine(patched, folder, { ...settings, ...compute }, observer),
    compute,
  });
  const given = givenCompute(settings, cores);
  if (given !== null) return open(given);
  const bytes = patched.external.reduce((sum, file) => sum + file.bytes, patched.bytes.byteLength);
  if (bytes > largeBytes) return open(largeCompute(cores));
  const opened = await open({ workers: Math.min(cores, mostWorkers), threads: 1 });
  const isSmall = (await sampleMs(opened.engine)) <= smallMs || cores === 1;
  if (isSmall) return opened;
  await opened.engine.close();
  return open(largeCompute(cores));
}

/** What the operator says, the other number following from the cores; null when nothing is said. */
export function givenCompute(
  { workers, threads }: Pick<Settings, "workers" | "threads">,
  cores: number,
): Compute | null {
  if (workers === null && threads === null) return null;
  const share = (of: number): number => Math.max(1, Math.floor(cores / of));
  return { workers: workers ?? share(threads!), threads: threads ?? share(workers!) };
}

/** One worker for every four cores, each with its share of them. */
export function largeCompute(cores: number): Compute {
  const workers = Math.max(1, Math.floor(cores / 4));
  return { workers, threads: Math.max(1, Math.floor(cores / workers)) };
}

/** Duration of one made-up sample; 0 for a model that takes none. */
async function sampleMs(engine: InferenceEngine): Promise<number> {
  const inputs = madeUpInputs(engine.description.inputs, 1, null);
  if (inputs === null) return 0;
  const batch = engine.description.inputs[0]?.shape[0] ?? 1;
  const run = async (): Promise<number> =>
    (await engine.run({ inputs, batch, modes: new Int32Array(batch), detector: null })).inferMs / batch;
  try {
    await run();
    return Math.min(await run(), await run());
  } catch {
    return 0;
  }
}
