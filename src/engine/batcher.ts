/**
 * How many samples share a run. Joining requests saves the fixed cost of a run and fills the compute threads; once a run
 * lasts some milliseconds there is nothing left to save, and every further sample only makes the others wait. So runs are
 * filled up to a duration, judged by what runs of the same shape took before. Nobody is
 * kept waiting for company, unless the operator wants that.
 */

export interface BatchLimits {
  /** Most samples of a joined run. */
  readonly samples: number;
  /** Longest duration in ms that runs are filled up to. */
  readonly fillMs: number;
  /** Longest time in ms that a request waits for company while a worker is idle; 0 when absent. */
  readonly delayMs?: number;
}

/** Shapes whose durations are remembered. */
const mostShapes = 256;
/** Weight of the newest duration in the running mean. */
const newest = 0.2;

export class Batcher {
  readonly #limits: BatchLimits;
  /** Mean duration of a sample in ms by shape; the shape used last is last. */
  readonly #sampleMs = new Map<string, number>();

  constructor(limits: BatchLimits) {
    this.#limits = limits;
  }

  get delayMs(): number {
    return this.#limits.delayMs ?? 0;
  }

  /** Most samples of a run of this shape; 1 for a shape that was never run: it is measured first. */
  room(shape: string): number {
    const sampleMs = this.#sampleMs.get(shape);
    if (sampleMs === undefined) return 1;
    const { samples, fillMs } = this.#limits;
    return Math.max(1, Math.min(samples, Math.floor(fillMs / sampleMs)));
  }

  /** How long a run of so many samples is likely to last, in ms; undefined for a shape that was never run. */
  expectedMs(shape: string, samples: number): number | undefined {
    const sampleMs = this.#sampleMs.get(shape);
    return sampleMs !== undefined && Number.isFinite(sampleMs) ? samples * sampleMs : undefined;
  }

  /** Runs of this shape turned out not to be divisible into their samples. */
  keepApart(shape: string): void {
    this.#sampleMs.set(shape, Infinity);
  }

  /** Takes up how long a run lasted. */
  measured(shape: string, samples: number, inferMs: number): void {
    const before = this.#sampleMs.get(shape);
    const now = inferMs / samples;
    this.#sampleMs.delete(shape);
    this.#sampleMs.set(shape, before === undefined ? now : (1 - newest) * before + newest * now);
    if (this.#sampleMs.size > mostShapes) this.#sampleMs.delete(this.#sampleMs.keys().next().value!);
  }
}
