/** The detectors of one model at run time: which one requests get, under which policy, and how that changes. */
import { AtPatchError } from "../shared/errors.ts";
import type { Lease } from "../shared/lease.ts";
import type { PatchDescription } from "../shared/patched-model.ts";
import { checkFits, parseBundle, type BundleMetadata } from "./bundle.ts";
import type { ControlAction, ControlEntry } from "./control-log.ts";
import { ControlLedger } from "./ledger.ts";
import { Mutex } from "./mutex.ts";
import { applyPolicy } from "./policy.ts";
import { PublishedDetectors, type DetectorHost } from "./published.ts";
import type {
  Change,
  DetectorDescription,
  DetectorInfo,
  DetectorLease,
  RegistryEvent,
  RegistryOptions,
  RegistrySnapshot,
  UploadResult,
} from "./registry-types.ts";
import { unknownDetector, type DetectorStore, type HistoryQuery, type StoredDetector } from "./store.ts";

export type * from "./registry-types.ts";

/**
 * Changes are serialised, durable in the store's log before they become visible, and visible at once: a lease taken
 * after a change was acknowledged has it, one taken before keeps what it had.
 */
export class DetectorRegistry {
  readonly model: string;
  readonly #store: DetectorStore;
  readonly #description: PatchDescription;
  readonly #host: DetectorHost;
  readonly #warn: (message: string) => void;
  readonly #published: PublishedDetectors;
  readonly #ledger: ControlLedger;
  readonly #changes = new Mutex();
  /** Holds on the detectors that the state names as active and previous. */
  #active: Lease<BundleMetadata> | null = null;
  #previous: Lease<BundleMetadata> | null = null;

  private constructor(options: RegistryOptions, ledger: ControlLedger) {
    this.model = options.model;
    this.#store = options.store;
    this.#description = options.description;
    this.#host = options.host;
    this.#warn = options.warn ?? (() => {});
    this.#published = new PublishedDetectors(options.host, this.#warn);
    this.#ledger = ledger;
  }

  /**
   * Takes up the state that the log ends with and publishes the active detector.
   * @throws AtPatchError ATPATCH_UNKNOWN_DETECTOR, ATPATCH_BUNDLE_MISMATCH, … when the active detector cannot be had:
   *   a model is never served without the detector it was last told to use
   */
  static async open(options: RegistryOptions): Promise<DetectorRegistry> {
    const registry = new DetectorRegistry(options, await ControlLedger.open(options));
    const { active } = registry.#ledger.state;
    if (active !== null) registry.#active = await registry.#hold(active);
    return registry;
  }

  snapshot(): RegistrySnapshot {
    return { model: this.model, revision: this.#ledger.revision, ...this.#ledger.state };
  }

  /** What a request that starts now runs with; it must be released when the request has ended. */
  lease(): Lease<DetectorLease> {
    const { revision, state } = this.#ledger;
    const { active: detector, policy } = state;
    if (detector === null || this.#active === null) {
      return { value: { detector: null, bundle: null, policy, revision }, release: () => {} };
    }
    return this.#published.share(detector, { detector, bundle: this.#active.value, policy, revision });
  }

  /**
   * Checks a bundle, tries it out and stores it. When any step fails nothing is stored.
   * @throws AtPatchError ATPATCH_BAD_BUNDLE, ATPATCH_BUNDLE_MISMATCH, ATPATCH_SELF_TEST
   */
  async upload(bytes: Uint8Array, change: Change): Promise<UploadResult> {
    const bundle = parseBundle(bytes);
    checkFits(bundle, this.#description);
    // Outside the queue of changes: a long self-test must not keep a rollback waiting.
    const hold = await this.#published.hold(bundle.id, () => Promise.resolve(bundle));
    try {
      const report = (await this.#host.selfTest?.(bundle.id, bundle.tensors, bundle.metadata)) ?? {};
      const created = await this.#changes.run(() => this.#put(bundle.id, bytes, change));
      return { id: bundle.id, created, report };
    } finally {
      hold.release();
    }
  }

  /**
   * Makes a stored detector (or none) the one that requests get. Activating what is active changes nothing.
   * @throws AtPatchError ATPATCH_UNKNOWN_DETECTOR, ATPATCH_REVISION_MISMATCH, ATPATCH_BUNDLE_MISMATCH
   */
  activate(id: string | null, change: Change): Promise<RegistrySnapshot> {
    return this.#changes.run(async () => {
      this.#checkRevision(change);
      if (id !== this.#ledger.state.active) await this.#switchTo(id, "activated", change);
      return this.snapshot();
    });
  }

  /**
   * Makes the previously active detector active again; the one it replaces becomes the previous one.
   * @throws AtPatchError ATPATCH_CONFLICT when there is none, ATPATCH_REVISION_MISMATCH
   */
  rollback(change: Change): Promise<RegistrySnapshot> {
    return this.#changes.run(async () => {
      this.#checkRevision(change);
      const { previous } = this.#ledger.state;
      if (previous === null) {
        throw new AtPatchError("ATPATCH_CONFLICT", "there is no previously active detector to go back to");
      }
      await this.#switchTo(previous, "rolled_back", change);
      return this.snapshot();
    });
  }

  /**
   * Changes the fields of the policy that `patch` names; the result is checked as a whole.
   * @throws AtPatchError ATPATCH_BAD_INPUT, ATPATCH_REVISION_MISMATCH
   */
  setPolicy(patch: unknown, change: Change): Promise<RegistrySnapshot> {
    return this.#changes.run(async () => {
      this.#checkRevision(change);
      const policy = applyPolicy(this.#ledger.state.policy, patch);
      if (JSON.stringify(policy) !== JSON.stringify(this.#ledger.state.policy)) {
        await this.#ledger.commit("policy", null, { ...this.#ledger.state, policy }, change);
      }
      return this.snapshot();
    });
  }

  /**
   * Removes a stored detector. The previous one may go: there is nothing to roll back to then.
   * @throws AtPatchError ATPATCH_CONFLICT while it is active, ATPATCH_UNKNOWN_DETECTOR, ATPATCH_REVISION_MISMATCH
   */
  remove(id: string, change: Change): Promise<void> {
    return this.#changes.run(async () => {
      this.#checkRevision(change);
      await this.#find(id);
      if (id === this.#ledger.state.active) {
        throw new AtPatchError("ATPATCH_CONFLICT", `detector ${id} is active; activate another one first`);
      }
      const isPrevious = id === this.#ledger.state.previous;
      // The log goes first: a crash in between leaves a file too many, never a state that names a missing one.
      const after = isPrevious ? { ...this.#ledger.state, previous: null } : this.#ledger.state;
      await this.#ledger.commit("removed", id, after, change, () => {
        if (!isPrevious) return;
        this.#previous?.release();
        this.#previous = null;
      });
      await this.#store.delete(id);
    });
  }

  /** All stored detectors, the oldest first. */
  async list(): Promise<DetectorInfo[]> {
    return (await this.#store.list()).map((stored) => ({ ...stored, role: this.#roleOf(stored.id) }));
  }

  /** @throws AtPatchError ATPATCH_UNKNOWN_DETECTOR */
  async describe(id: string): Promise<DetectorDescription> {
    const stored = await this.#find(id);
    const { metadata } = parseBundle(await this.#store.get(id));
    return { ...stored, role: this.#roleOf(id), metadata };
  }

  /**
   * The bundle as it was uploaded.
   * @throws AtPatchError ATPATCH_UNKNOWN_DETECTOR
   */
  content(id: string): Promise<Uint8Array> {
    return this.#store.get(id);
  }

  /** What was done, the newest first. */
  history(query: HistoryQuery = {}): Promise<ControlEntry[]> {
    return this.#store.read(query);
  }

  /** Tells `listener` about every change from now on, after it became visible. Returns how to stop that. */
  subscribe(listener: (event: RegistryEvent) => void): () => void {
    return this.#ledger.subscribe(listener);
  }

  async #put(id: string, bytes: Uint8Array, change: Change): Promise<boolean> {
    const { created } = await this.#store.put(bytes);
    if (!created) return false;
    try {
      await this.#ledger.commit("uploaded", id, this.#ledger.state, change);
    } catch (error) {
      await this.#store.delete(id).catch(() => this.#warn(`detector ${id} is stored, but not in the log`));
      throw error;
    }
    return true;
  }

  async #switchTo(id: string | null, action: ControlAction, change: Change): Promise<void> {
    // Published is not enough: an upload publishes a detector for its self-test before it is stored.
    if (id !== null) await this.#find(id);
    // Every worker has the detector before the first request can get it.
    const next = id === null ? null : await this.#hold(id);
    const after = { ...this.#ledger.state, active: id, previous: this.#ledger.state.active };
    try {
      await this.#ledger.commit(action, id, after, change, () => {
        this.#previous?.release();
        this.#previous = this.#active;
        this.#active = next;
      });
    } catch (error) {
      next?.release();
      throw error;
    }
  }

  #hold(id: string): Promise<Lease<BundleMetadata>> {
    return this.#published.hold(id, async () => {
      const bundle = parseBundle(await this.#store.get(id));
      // The model may have been replaced since the bundle was stored.
      checkFits(bundle, this.#description);
      return bundle;
    });
  }

  #checkRevision({ ifMatch }: Change): void {
    if (ifMatch === undefined || ifMatch === this.#ledger.revision) return;
    throw new AtPatchError(
      "ATPATCH_REVISION_MISMATCH",
      `model ${this.model} is at revision ${this.#ledger.revision}, not ${ifMatch}: somebody else changed it first`,
    );
  }

  async #find(id: string): Promise<StoredDetector> {
    const stored = (await this.#store.list()).find((candidate) => candidate.id === id);
    if (!stored) throw unknownDetector(id);
    return stored;
  }

  #roleOf(id: string): DetectorInfo["role"] {
    if (id === this.#ledger.state.active) return "active";
    return id === this.#ledger.state.previous ? "previous" : null;
  }
}
