/** The state that a model's control log ends with; it changes by appending to the log, and only then. */
import { AtPatchError, messageOf } from "../shared/errors.ts";
import type { ControlAction, ControlEntry, ControlState } from "./control-log.ts";
import { defaultPolicy } from "./policy.ts";
import type { Change, RegistryEvent, RegistryOptions } from "./registry-types.ts";
import type { DetectorStore } from "./store.ts";

export class ControlLedger {
  readonly #model: string;
  readonly #store: DetectorStore;
  readonly #clock: () => Date;
  readonly #warn: (message: string) => void;
  readonly #listeners = new Set<(event: RegistryEvent) => void>();
  #revision: number;
  #state: ControlState;

  private constructor(options: RegistryOptions, last: ControlEntry | null) {
    this.#model = options.model;
    this.#store = options.store;
    this.#clock = options.clock ?? (() => new Date());
    this.#warn = options.warn ?? (() => {});
    this.#revision = last?.revision ?? 0;
    this.#state = last?.after ?? { active: null, previous: null, policy: options.policy ?? defaultPolicy };
  }

  /** Takes up the state that the log ends with. */
  static async open(options: RegistryOptions): Promise<ControlLedger> {
    return new ControlLedger(options, await options.store.last());
  }

  /** Grows by 1 with every change of the state. */
  get revision(): number {
    return this.#revision;
  }

  get state(): ControlState {
    return this.#state;
  }

  /**
   * Makes a change durable, then visible: `apply` and the new state take effect in the same turn. Pass the present
   * state as `after` to record something that changes nothing. When it rejects, nothing has changed.
   * Callers must not overlap.
   */
  async commit(
    action: ControlAction,
    detector: string | null,
    after: ControlState,
    { actor, reason = null }: Change,
    apply?: () => void,
  ): Promise<void> {
    const before = this.#state;
    const revision = after === before ? this.#revision : this.#revision + 1;
    const at = this.#clock().toISOString();
    const draft = { revision, at, actor, action, detector, reason, before, after };
    const entry = await this.#store.append(draft);
    apply?.();
    this.#state = after;
    this.#revision = revision;
    this.#tell(entry);
  }

  /** @throws AtPatchError ATPATCH_REVISION_MISMATCH when the caller has seen another revision than the present one */
  checkRevision({ ifMatch }: Change): void {
    if (ifMatch === undefined || ifMatch === this.#revision) return;
    throw new AtPatchError(
      "ATPATCH_REVISION_MISMATCH",
      `model ${this.#model} is at revision ${this.#revision}, not ${ifMatch}: somebody else changed it first`,
    );
  }

  subscribe(listener: (event: RegistryEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #tell(entry: ControlEntry): void {
    for (const listener of this.#listeners) {
      try {
        listener({ model: this.#model, entry });
      } catch (error) {
        this.#warn(`a listener to the detectors of ${this.#model} failed: ${messageOf(error)}`);
      }
    }
  }
}
