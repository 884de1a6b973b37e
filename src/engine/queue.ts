/**
 * Runs that wait for a worker. Clients take turns: one that sends a thousand requests at once does not keep another
 * waiting behind all of them. Each client's own runs are first in, first out.
 */

/** What the queue must know of a run. */
export interface Waiting {
  /** Whose run it is; runs of one client keep their order. */
  readonly client: string;
  /** Memory that its inputs hold. */
  readonly bytes: number;
}

export interface QueueLimits {
  /** Most runs that may wait. */
  readonly runs: number;
  /** Most bytes of inputs that may wait; a run that is larger by itself waits alone. */
  readonly bytes: number;
}

export class RunQueue<T extends Waiting> {
  readonly #limits: QueueLimits;
  readonly #onDepth: (depth: number) => void;
  /** Accepted before and sent back: they go first. */
  readonly #returned: T[] = [];
  /** In the order of turns; no list is empty. */
  readonly #clients = new Map<string, T[]>();
  #depth = 0;
  #bytes = 0;

  /** @param onDepth told the number of waiting runs after every change */
  constructor(limits: QueueLimits, onDepth: (depth: number) => void) {
    this.#limits = limits;
    this.#onDepth = onDepth;
  }

  get depth(): number {
    return this.#depth;
  }

  /** Whether a run of `bytes` would be refused now. */
  isFullFor(bytes: number): boolean {
    if (this.#depth >= this.#limits.runs) return true;
    return this.#depth > 0 && this.#bytes + bytes > this.#limits.bytes;
  }

  /** Puts a run behind those of its client; false, and nothing done, when the queue is full. */
  add(run: T): boolean {
    if (this.isFullFor(run.bytes)) return false;
    const own = this.#clients.get(run.client);
    if (own) own.push(run);
    else this.#clients.set(run.client, [run]);
    this.#count(1, run.bytes);
    return true;
  }

  /** Puts a run that was accepted before at the head, whatever the limits. */
  addFirst(run: T): void {
    this.#returned.unshift(run);
    this.#count(1, run.bytes);
  }

  /** Takes the next run of the client whose turn it is. */
  takeFirst(): T | undefined {
    const [run] = this.#takeInTurn(() => true, 1);
    return run;
  }

  /** Takes every waiting run that `accept` wants, asked in the order of turns. */
  takeMatching(accept: (run: T) => boolean): T[] {
    return this.#takeInTurn(accept, Infinity);
  }

  /** Takes a run out wherever it stands; no error when it is not there. */
  remove(run: T): void {
    const own = this.#clients.get(run.client) ?? [];
    for (const list of [this.#returned, own]) {
      const at = list.indexOf(run);
      if (at < 0) continue;
      list.splice(at, 1);
      if (own.length === 0) this.#clients.delete(run.client);
      return this.#count(-1, -run.bytes);
    }
  }

  #takeInTurn(accept: (run: T) => boolean, most: number): T[] {
    const taken: T[] = [];
    const takeFrom = (list: T[]): boolean => {
      const at = list.findIndex(accept);
      if (at < 0) return false;
      taken.push(...list.splice(at, 1));
      return true;
    };
    while (taken.length < most && takeFrom(this.#returned));
    const asked = new Set(this.#clients.keys());
    while (asked.size > 0 && taken.length < most) {
      for (const client of asked) {
        if (taken.length >= most) break;
        const own = this.#clients.get(client)!;
        if (!takeFrom(own)) {
          asked.delete(client);
          continue;
        }
        // It was this client's turn: the others come before its next run.
        this.#clients.delete(client);
        if (own.length > 0) this.#clients.set(client, own);
        else asked.delete(client);
      }
    }
    const bytes = taken.reduce((sum, run) => sum + run.bytes, 0);
    if (taken.length > 0) this.#count(-taken.length, -bytes);
    return taken;
  }

  #count(runs: number, bytes: number): void {
    this.#depth += runs;
    this.#bytes += bytes;
    this.#onDepth(this.#depth);
  }
}
