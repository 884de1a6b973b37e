/** Runs that wait for a worker: first in, first out, at most `limit` of them. */
export class RunQueue<T> {
  readonly #limit: number;
  readonly #onDepth: (depth: number) => void;
  readonly #waiting: T[] = [];

  /** @param onDepth told the number of waiting runs after every change */
  constructor(limit: number, onDepth: (depth: number) => void) {
    this.#limit = limit;
    this.#onDepth = onDepth;
  }

  get depth(): number {
    return this.#waiting.length;
  }

  /** Puts a run at the end; false, and nothing done, when the queue is full. */
  add(run: T): boolean {
    if (this.#waiting.length >= this.#limit) return false;
    this.#waiting.push(run);
    this.#onDepth(this.#waiting.length);
    return true;
  }

  /** Puts a run that was accepted before at the head, whatever the limit. */
  addFirst(run: T): void {
    this.#waiting.unshift(run);
    this.#onDepth(this.#waiting.length);
  }

  takeFirst(): T | undefined {
    const run = this.#waiting.shift();
    if (run !== undefined) this.#onDepth(this.#waiting.length);
    return run;
  }

  /** Takes a run out wherever it stands; no error when it is not there. */
  remove(run: T): void {
    const at = this.#waiting.indexOf(run);
    if (at < 0) return;
    this.#waiting.splice(at, 1);
    this.#onDepth(this.#waiting.length);
  }
}
