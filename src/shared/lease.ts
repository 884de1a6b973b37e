/** A hold on something shared: it stays usable until `release`. Releasing twice is harmless. */
export interface Lease<T> {
  readonly value: T;
  release(): void;
}

/**
 * Counts the leases on one shared thing and tells when the last of them has gone.
 * It may become idle more than once: a lease taken after that makes it busy again.
 */
export class LeaseCounter {
  readonly #onIdle: () => void;
  #count = 0;

  /** @param onIdle called each time the number of leases returns to 0 */
  constructor(onIdle: () => void = () => {}) {
    this.#onIdle = onIdle;
  }

  /** Number of leases not yet released. */
  get count(): number {
    return this.#count;
  }

  /** Takes a lease; `value` is what its holder sees. */
  lease<T>(value: T): Lease<T> {
    let held = true;
    this.#count += 1;
    return {
      value,
      release: () => {
        if (!held) return;
        held = false;
        this.#count -= 1;
        if (this.#count === 0) this.#onIdle();
      },
    };
  }
}
