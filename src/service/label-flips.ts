/** Whether the patch changed the label: repaired samples are run once more without it, when the model has nothing else to do. */
import type { InferenceEngine } from "../engine/engine.ts";
import { takeSamples } from "../engine/slice.ts";
import { modeCodes } from "../shared/patched-model.ts";
import type { Tensor } from "../shared/tensor.ts";
import type { Task } from "../tasks/task.ts";
import { stopwatch } from "./timings.ts";

/** Repaired samples of one answer. */
export interface RepairedSamples {
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly batch: number;
  /** What was answered. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** Samples that were repaired. */
  readonly samples: readonly number[];
}

/** Most samples of one answer that are run again. */
const mostSamples = 8;
/** Least share of time in which no check runs: it must not slow down who waits for an answer. */
const restFactor = 4;
/** Longest time a check may wait for a worker, in milliseconds. */
const patience = 2_000;

export class LabelFlips {
  readonly #engine: InferenceEngine;
  readonly #task: Task;
  #running = false;
  #restUntil = 0;

  constructor(engine: InferenceEngine, task: Task) {
    this.#engine = engine;
    this.#task = task;
  }

  /** Null when it was dropped: a check runs already, requests wait, or the model failed. Never rejects. */
  async check(answer: RepairedSamples): Promise<{ checked: number; flipped: number } | null> {
    const now = performance.now();
    if (this.#running || now < this.#restUntil || this.#engine.queued > 0) return null;
    this.#running = true;
    const elapsed = stopwatch();
    try {
      return await this.#compare(answer);
    } catch {
      // A full queue, a model that is closing: the figures stay as they are.
      return null;
    } finally {
      this.#running = false;
      this.#restUntil = performance.now() + restFactor * elapsed();
    }
  }

  async #compare({
    inputs,
    batch,
    outputs,
    samples,
  }: RepairedSamples): Promise<{ checked: number; flipped: number }> {
    const separable = this.#engine.description.inputs.every(({ shape }) => shape[0] === null);
    const chosen = samples.slice(0, mostSamples);
    const rows = separable ? chosen : Array.from({ length: batch }, (_, sample) => sample);
    const taken = Object.entries(inputs).map(([name, tensor]) => [
      name,
      separable ? takeSamples(tensor, rows) : tensor,
    ]);
    const { outputs: bare } = await this.#engine.run(
      {
        inputs: Object.fromEntries(taken) as Record<string, Tensor>,
        batch: rows.length,
        modes: new Int32Array(rows.length).fill(modeCodes.off),
        detector: null,
      },
      { deadline: performance.now() + patience },
    );
    const patched = this.#task.predict(outputs, batch, 1);
    const unpatched = this.#task.predict(bare, rows.length, 1);
    const flipped = chosen.filter(
      (sample) => unpatched[rows.indexOf(sample)]!.index !== patched[sample]!.index,
    );
    return { checked: chosen.length, flipped: flipped.length };
  }
}
