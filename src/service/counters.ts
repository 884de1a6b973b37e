/** Plain totals since the start, for people who ask the admin interface and not Prometheus. */
import type { SampleReport } from "./observer.ts";

export interface Totals {
  readonly requests: number;
  readonly samples: number;
  readonly triggered: number;
}

export interface DetectorTotals extends Totals {
  /** Null for the samples answered without one. */
  readonly detector: string | null;
}

const none: Totals = Object.freeze({ requests: 0, samples: 0, triggered: 0 });
/** Detectors whose totals are kept: those asked for last. */
const mostDetectors = 16;

export class ModelCounters {
  #totals = none;
  readonly #byDetector = new Map<string | null, Totals>();

  add({ detector, samples, triggered }: SampleReport): void {
    const grown = (before: Totals): Totals => ({
      requests: before.requests + 1,
      samples: before.samples + samples,
      triggered: before.triggered + triggered,
    });
    this.#totals = grown(this.#totals);
    const before = this.#byDetector.get(detector) ?? none;
    // Put at the end again, so that the first is the one not used for longest.
    this.#byDetector.delete(detector);
    this.#byDetector.set(detector, grown(before));
    if (this.#byDetector.size <= mostDetectors) return;
    for (const oldest of this.#byDetector.keys()) {
      this.#byDetector.delete(oldest);
      return;
    }
  }

  get totals(): Totals {
    return this.#totals;
  }

  /** The detector used last comes last. */
  get byDetector(): DetectorTotals[] {
    return [...this.#byDetector].map(([detector, totals]) => ({ detector, ...totals }));
  }
}
