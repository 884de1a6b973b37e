/** Runs samples through the patched model in batches, with a mode and forced columns for each of them. */
import type { InferenceEngine, RunResult } from "../engine/engine.ts";
import { modeCodes, type Mode } from "../shared/patched-model.ts";
import type { Tensor } from "../shared/tensor.ts";
import { isTriggered } from "../shared/triggered.ts";
import type { Task } from "../tasks/task.ts";
import { stackInputs, type PreparedSample, type SampleStore } from "./sample-store.ts";

/** One forward pass of one sample. */
export interface Ask {
  readonly sample: number;
  readonly mode: Mode;
  /** Key columns to force at every site. */
  readonly columns?: readonly number[];
}

/** A finished batch: `result` row r answers `asks[indices[r]]`. */
export interface FinishedBatch {
  readonly indices: readonly number[];
  /** Rows of the result: more than `indices` where the graph fixes its batch. */
  readonly rows: number;
  readonly result: RunResult;
}

export interface RunsOptions {
  readonly detector: string | null;
  /** Outputs to return; those of the original model when absent. */
  readonly outputs?: readonly string[];
  /** Sites whose features are reported; none when absent. */
  readonly report?: readonly number[];
  /** Whether reports need φ; true when absent. */
  readonly attention?: boolean;
  /** Most samples of a batch; 32 when absent. */
  readonly batch?: number;
  /** Called after each batch with the number of passes done. */
  readonly progress?: (done: number, all: number) => void;
}

/** What a pass answered. */
export interface Answer {
  readonly logits: Float32Array;
  /** Whether a column was flagged, by the detector or by force. */
  readonly triggered: boolean;
  /** Flagged key columns of the first axis. */
  readonly columns: readonly number[];
}

const defaultBatch = 32;

export class ModelRuns {
  readonly engine: InferenceEngine;
  readonly task: Task;
  readonly store: SampleStore;
  readonly #parallel: number;
  /** Key columns of each axis, per sample; known once a sample was run. */
  readonly #keys = new Map<number, readonly number[]>();

  /** @param parallel batches in flight: one more than the engine has workers keeps all of them busy */
  constructor(engine: InferenceEngine, task: Task, store: SampleStore, parallel = 3) {
    this.engine = engine;
    this.task = task;
    this.store = store;
    this.#parallel = parallel;
  }

  /** Number of key columns of the sample on axis 0; the sample must have been run once without forced columns. */
  keysOf(sample: number): number {
    return this.#keys.get(sample)?.[0] ?? 0;
  }

  /** Answers in the order of `asks`. */
  async answers(asks: readonly Ask[], options: RunsOptions): Promise<Answer[]> {
    const answers: Answer[] = [];
    await this.forEachBatch(asks, options, ({ indices, rows, result }) => {
      const logits = this.task.logits(result.outputs, rows);
      indices.forEach((index, row) => {
        answers[index] = {
          logits: logits[row] as Float32Array,
          triggered: isTriggered(result, row),
          columns: flagged(result, row),
        };
      });
    });
    return answers;
  }

  /** Runs all asks and hands the batches over in a fixed order, whichever worker is first. */
  async forEachBatch(
    asks: readonly Ask[],
    options: RunsOptions,
    take: (finished: FinishedBatch) => void | Promise<void>,
  ): Promise<void> {
    const inFlight: Promise<FinishedBatch>[] = [];
    let done = 0;
    const finishFirst = async (): Promise<void> => {
      const finished = await (inFlight.shift() as Promise<FinishedBatch>);
      await take(finished);
      done += finished.indices.length;
      options.progress?.(done, asks.length);
    };
    try {
      for await (const { indices, samples } of this.#batches(
        asks,
        this.task.batch ?? options.batch ?? defaultBatch,
      )) {
        inFlight.push(this.#run(asks, indices, samples, options));
        if (inFlight.length >= this.#parallel) await finishFirst();
      }
      while (inFlight.length > 0) await finishFirst();
    } catch (error) {
      await Promise.allSettled(inFlight);
      throw error;
    }
  }

  /** Cuts the asks into batches of samples that have the same shape, in order. */
  async *#batches(
    asks: readonly Ask[],
    size: number,
  ): AsyncGenerator<{ indices: number[]; samples: PreparedSample[] }> {
    const open = new Map<string, { indices: number[]; samples: PreparedSample[] }>();
    for (let start = 0; start < asks.length; start += size) {
      const chunk = asks.slice(start, start + size);
      const prepared = await this.store.prepare(chunk.map((ask) => ask.sample));
      for (const [i, sample] of prepared.entries()) {
        const batch = open.get(sample.shape) ?? { indices: [], samples: [] };
        open.set(sample.shape, batch);
        batch.indices.push(start + i);
        batch.samples.push(sample);
        if (batch.indices.length === size) {
          open.delete(sample.shape);
          yield batch;
        }
      }
    }
    yield* open.values();
  }

  async #run(
    asks: readonly Ask[],
    indices: readonly number[],
    samples: readonly PreparedSample[],
    options: RunsOptions,
  ): Promise<FinishedBatch> {
    const chosen = indices.map((index) => asks[index] as Ask);
    const rows = this.task.batch ?? indices.length;
    const modes = new Int32Array(rows).fill(modeCodes.off);
    chosen.forEach((ask, row) => (modes[row] = modeCodes[ask.mode]));
    const result = await this.engine.run({
      inputs: stackInputs(samples, rows),
      batch: rows,
      modes,
      detector: options.detector,
      force: this.#force(chosen, rows),
      ...(options.outputs && { outputs: options.outputs }),
      ...(options.report && { report: options.report, attention: options.attention ?? true }),
    });
    const keys = result.flags.map((axis) => axis.keys);
    for (const { sample } of chosen) this.#keys.set(sample, keys);
    return { indices, rows, result };
  }

  /** Forced columns on the first key axis and on every other one of the same length. */
  #force(asks: readonly Ask[], rows: number): Record<number, Tensor> {
    if (!asks.some((ask) => ask.columns && ask.columns.length > 0)) return {};
    const keys = this.#keys.get(asks[0]?.sample ?? 0) ?? [];
    const length = keys[0] ?? 0;
    const data = new Uint8Array(rows * length);
    asks.forEach((ask, row) => {
      for (const column of ask.columns ?? []) if (column < length) data[row * length + column] = 1;
    });
    const tensor: Tensor = { datatype: "BOOL", shape: [rows, length], data };
    return Object.fromEntries(keys.flatMap((count, axis) => (count === length ? [[axis, tensor]] : [])));
  }
}

function flagged({ flags: [axis] }: RunResult, row: number): number[] {
  if (!axis) return [];
  const own = axis.firstSite.subarray(row * axis.keys, (row + 1) * axis.keys);
  return Array.from(own).flatMap((site, column) => (site > 0 ? [column] : []));
}

/** Index of the largest logit; the first one of equals. */
export function predicted(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if ((logits[i] as number) > (logits[best] as number)) best = i;
  return best;
}

/** Logit of a class minus the largest of the others: above 0 when the class is the prediction. */
export function margin(logits: Float32Array, label: number): number {
  let other = -Infinity;
  logits.forEach((logit, i) => {
    if (i !== label && logit > other) other = logit;
  });
  return (logits[label] ?? -Infinity) - other;
}
