/** Counts over the last seconds: a ring of slots of equal length, so that memory and work stay the same under any load. */

/** Slots of a window; what leaves it leaves in steps of a twentieth. */
const slotCount = 20;

export class SlidingWindow<Name extends string> {
  readonly #names: readonly Name[];
  readonly #slotMs: number;
  readonly #slots: Record<Name, number>[];
  /** Number of the newest slot since time 0. */
  #newest = 0;

  constructor(names: readonly Name[], windowMs: number) {
    this.#names = names;
    this.#slotMs = windowMs / slotCount;
    this.#slots = Array.from({ length: slotCount }, () => this.#zeros());
  }

  /** @param now milliseconds on any clock that does not go back */
  add(counts: Partial<Readonly<Record<Name, number>>>, now: number): void {
    this.#advance(now);
    const slot = this.#slots[this.#newest % slotCount]!;
    for (const name of this.#names) slot[name] += counts[name] ?? 0;
  }

  /** What was counted in the window that ends now. */
  sums(now: number): Readonly<Record<Name, number>> {
    this.#advance(now);
    const sums = this.#zeros();
    for (const slot of this.#slots) for (const name of this.#names) sums[name] += slot[name];
    return sums;
  }

  #advance(now: number): void {
    const newest = Math.max(this.#newest, Math.floor(now / this.#slotMs));
    const stale = Math.min(slotCount, newest - this.#newest);
    for (let step = 0; step < stale; step++) this.#slots[(newest - step) % slotCount] = this.#zeros();
    this.#newest = newest;
  }

  #zeros(): Record<Name, number> {
    return Object.fromEntries(this.#names.map((name) => [name, 0])) as Record<Name, number>;
  }
}
