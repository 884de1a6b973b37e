/** Totals of a model since the start, as the statistics extension of the Open Inference Protocol tells them. */

/** How often something took place, and how long it took altogether. */
interface Duration {
  readonly count: number;
  /** Nanoseconds. */
  readonly ns: number;
}

const none: Duration = { count: 0, ns: 0 };

/** A sum of durations. */
class Stopped {
  #count = 0;
  #milliseconds = 0;

  add(milliseconds: number): void {
    this.#count += 1;
    this.#milliseconds += milliseconds;
  }

  get total(): Duration {
    return { count: this.#count, ns: Math.round(this.#milliseconds * 1e6) };
  }
}

/** One answered run. */
export interface AnsweredRun {
  readonly samples: number;
  readonly queueMs: number;
  readonly inferMs: number;
  /** From the arrival of the request. */
  readonly totalMs: number;
}

/** Requests of more samples than this are counted together, so that nobody can make the table grow. */
const largestBatch = 1024;

export class ModelStatistics {
  #lastInference = 0;
  #inferences = 0;
  #executions = 0;
  readonly #success = new Stopped();
  readonly #fail = new Stopped();
  readonly #queue = new Stopped();
  readonly #infer = new Stopped();
  readonly #stages = { decode: new Stopped(), encode: new Stopped() };
  readonly #batches = new Map<number, Stopped>();

  answered({ samples, queueMs, inferMs, totalMs }: AnsweredRun): void {
    this.#lastInference = Date.now();
    this.#inferences += samples;
    this.#success.add(totalMs);
    this.#queue.add(queueMs);
    this.#infer.add(inferMs);
    const size = Math.min(samples, largestBatch);
    const batch = this.#batches.get(size) ?? new Stopped();
    this.#batches.set(size, batch);
    batch.add(inferMs);
  }

  failed(totalMs: number): void {
    this.#fail.add(totalMs);
  }

  /** The model was run once. */
  executed(): void {
    this.#executions += 1;
  }

  stage(stage: "decode" | "encode", milliseconds: number): void {
    this.#stages[stage].add(milliseconds);
  }

  /** In the form of the extension. */
  snapshot() {
    return {
      /** Milliseconds since 1970; 0 before the first. */
      last_inference: this.#lastInference,
      /** Samples answered. */
      inference_count: this.#inferences,
      /** Runs of the model; fewer than requests where several share one. */
      execution_count: this.#executions,
      inference_stats: {
        success: this.#success.total,
        fail: this.#fail.total,
        queue: this.#queue.total,
        compute_input: this.#stages.decode.total,
        compute_infer: this.#infer.total,
        compute_output: this.#stages.encode.total,
        cache_hit: none,
        cache_miss: none,
      },
      response_stats: {},
      /** By number of samples of a request, ascending. */
      batch_stats: [...this.#batches]
        .sort(([a], [b]) => a - b)
        .map(([size, batch]) => ({
          batch_size: size,
          compute_input: none,
          compute_infer: batch.total,
          compute_output: none,
        })),
      memory_usage: [],
    };
  }
}
