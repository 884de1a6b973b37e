/** How a shadow agrees with the active detector since it was set. */
import type { DetectorRegistry } from "../detector/registry.ts";
import type { SiteReport } from "../shared/site-report.ts";
import type { ShadowObserver } from "./observer.ts";

/** What scores a detector on the features of a finished run. */
export interface Scoring {
  score(request: {
    readonly detector: string;
    readonly batch: number;
    readonly reports: readonly SiteReport[];
  }): Promise<readonly boolean[] | null>;
}

/** Samples by who triggered. */
export interface Agreement {
  readonly both: number;
  readonly active: number;
  readonly shadow: number;
  readonly neither: number;
}

export interface ShadowState {
  readonly detector: string;
  /** ISO 8601, UTC: since when is counted. */
  readonly since: string;
  readonly samples: number;
  /** Samples that were not scored because scoring could not keep up. */
  readonly dropped: number;
  readonly agreement: Agreement;
}

export interface ShadowedRun {
  readonly shadow: string;
  readonly reports: readonly SiteReport[];
  /** Per sample whether the active detector triggered. */
  readonly triggered: readonly boolean[];
}

const nothing: Agreement = { both: 0, active: 0, shadow: 0, neither: 0 };

export class ShadowTable {
  readonly #registry: DetectorRegistry;
  readonly #scoring: Scoring;
  readonly #observer: ShadowObserver;
  #since = new Date();
  #dropped = 0;
  #agreement = nothing;

  constructor(registry: DetectorRegistry, scoring: Scoring, observer: ShadowObserver) {
    this.#registry = registry;
    this.#scoring = scoring;
    this.#observer = observer;
    registry.subscribe(({ entry: { before, after } }) => {
      if (before.policy.shadow !== after.policy.shadow) this.#reset();
    });
  }

  get state(): ShadowState | null {
    const detector = this.#registry.snapshot().policy.shadow;
    if (detector === null) return null;
    const { both, active, shadow, neither } = this.#agreement;
    return {
      detector,
      since: this.#since.toISOString(),
      samples: both + active + shadow + neither,
      dropped: this.#dropped,
      agreement: this.#agreement,
    };
  }

  /** Scores a finished run off the answer's path. Never rejects. */
  async compare({ shadow, reports, triggered }: ShadowedRun): Promise<void> {
    const { model } = this.#registry;
    const batch = triggered.length;
    const gates = await this.#scoring.score({ detector: shadow, batch, reports });
    if (this.#registry.snapshot().policy.shadow !== shadow) return;
    if (gates === null) {
      this.#dropped += batch;
      this.#observer.shadowDropped(model, batch);
      return;
    }
    const counts = { ...this.#agreement };
    triggered.forEach((ours, sample) => {
      const theirs = gates[sample] === true;
      counts[ours ? (theirs ? "both" : "active") : theirs ? "shadow" : "neither"] += 1;
      this.#observer.shadowed(model, ours, theirs);
    });
    this.#agreement = counts;
  }

  #reset(): void {
    this.#since = new Date();
    this.#dropped = 0;
    this.#agreement = nothing;
  }
}
