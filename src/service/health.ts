/** Whether the server lives, and whether it should be sent traffic. */
import type { ModelTable } from "./models.ts";

/**
 * serving → draining: not ready any more, but every request is still answered, so that load balancers can look away;
 * → closing: new work is refused, accepted work is finished.
 */
export type Phase = "serving" | "draining" | "closing";

export interface Readiness {
  readonly ready: boolean;
  /** Why not, one sentence each; empty when ready. */
  readonly reasons: readonly string[];
}

export class Health {
  readonly #models: ModelTable;
  #phase: Phase = "serving";

  constructor(models: ModelTable) {
    this.#models = models;
  }

  get phase(): Phase {
    return this.#phase;
  }

  enter(phase: Phase): void {
    this.#phase = phase;
  }

  /** Readiness of the server: every model must be ready. */
  ready(): Readiness {
    const reasons = this.#phase === "serving" ? [] : ["the server is draining"];
    for (const { name, engine } of this.#models.all()) {
      if (!engine.ready) reasons.push(`model "${name}" has no ready worker`);
    }
    return { ready: reasons.length === 0, reasons };
  }
}
