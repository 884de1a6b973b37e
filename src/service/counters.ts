/** Plain totals since the start, for people who ask the admin interface and not Prometheus. */
import type { SampleReport } from "./observer.ts";

export interface Totals {
  readonly requests: number;
  readonly samples: number;
  readonly triggered: number;
}

export class ModelCounters {
  #totals: Totals = { requests: 0, samples: 0, triggered: 0 };

  add({ samples, triggered }: SampleReport): void {
    const { requests, ...before } = this.#totals;
    this.#totals = {
      requests: requests + 1,
      samples: before.samples + samples,
      triggered: before.triggered + triggered,
    };
  }

  get totals(): Totals {
    return this.#totals;
  }
}
