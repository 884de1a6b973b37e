/**
 * When a worker that computes can take its next run: shortly before the present one is expected to end. It then goes from one
 * to the next without the way to the engine's thread and back, and a request that comes in between still finds company.
 */

/**
 * How long before the expected end: the way to another thread takes some tenths of a millisecond, timers are a little late, and
 * of two equal runs one takes some tenths longer.
 */
const leadMs = (expectedMs: number): number => Math.max(1.5, 0.2 * expectedMs);

interface Occupied {
  /** Expected durations in ms of the runs that the worker has, in their order; undefined where nothing is known. */
  readonly runs: (number | undefined)[];
  timer: NodeJS.Timeout | undefined;
}

export class RunAhead<Worker> {
  readonly #occupied = new Map<Worker, Occupied>();
  readonly #onEnding: (worker: Worker) => void;

  /** @param onEnding the worker's only run is about to end */
  constructor(onEnding: (worker: Worker) => void) {
    this.#onEnding = onEnding;
  }

  /** A run is handed to the worker. @param expectedMs its duration; undefined when it was never measured */
  begin(worker: Worker, expectedMs: number | undefined): void {
    const occupied = this.#occupied.get(worker) ?? { runs: [], timer: undefined };
    this.#occupied.set(worker, occupied);
    occupied.runs.push(expectedMs);
    if (occupied.runs.length === 1) this.#arm(worker, occupied);
    else clearTimeout(occupied.timer);
  }

  /** The worker's first run has ended. @returns whether it has none left */
  end(worker: Worker): boolean {
    const occupied = this.#occupied.get(worker);
    if (occupied === undefined) return true;
    clearTimeout(occupied.timer);
    occupied.runs.shift();
    if (occupied.runs.length > 0) {
      this.#arm(worker, occupied);
      return false;
    }
    this.#occupied.delete(worker);
    return true;
  }

  /** The worker is gone. */
  forget(worker: Worker): void {
    clearTimeout(this.#occupied.get(worker)?.timer);
    this.#occupied.delete(worker);
  }

  #arm(worker: Worker, occupied: Occupied): void {
    const expectedMs = occupied.runs[0] ?? 0;
    const delay = expectedMs - leadMs(expectedMs);
    // A shorter run is over before the next one could be on its way.
    if (delay >= 1) occupied.timer = setTimeout(() => this.#onEnding(worker), delay).unref();
  }
}
