/** The detectors of one model at run time: which one requests get, under which policy, and how that changes. */
import { AtPatchError } from "../shared/errors.ts";
import type { Lease } from "../shared/lease.ts";
import type { PatchDescription } from "../shared/patched-model.ts";
import { checkFits, parseBundle, type BundleMetadata } from "./bundle.ts";
import type { ControlAction, ControlEntry, ControlState } from "./control-log.ts";
import { ControlLedger } from "./ledger.ts";
import { Mutex } from "./mutex.ts";
import { applyPolicy } from "./policy.ts";
import { PublishedDetectors, type DetectorHost } from "./published.ts";
import { inUse, isInCanary, RoleHolds, rolesOf } from "./roles.ts";
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
import type { DetectorStore, HistoryQuery } from "./store.ts";

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
  readonly #holds = new RoleHolds((id) => this.#hold(id));

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
   * Takes up the state that the log ends with and publishes the detectors it names.
   * @throws AtPatchError ATPATCH_UNKNOWN_DETECTOR, ATPATCH_BUNDLE_MISMATCH, … when one of them cannot be had: a model is
   *   never served without a detector it was last told to use
   */
  static async open(options: RegistryOptions): Promise<DetectorRegistry> {
    const registry = new DetectorRegistry(options, await ControlLedger.open(options));
    (await registry.#holds.prepare(registry.#ledger.state)).apply();
    return registry;
  }

  snapshot(): RegistrySnapshot {
    return { model: this.model, revision: this.#ledger.revision, ...this.#ledger.state };
  }

  /**
   * What a request that starts now runs with; it must be released when the request has ended.
   * @param key what the request is drawn for the canary by; without one it gets the active detector
   */
  lease(key?: string): Lease<DetectorLease> {
    const { revision, state } = this.#ledger;
    const { active, policy } = state;
    const drawn = isInCanary(policy, key);
    const detector = drawn ? policy.canary!.detector : active;
    const shadow = this.#holds.shadow(policy);
    const common = { role: drawn ? "canary" : "active", policy, revision, shadow } as const;
    if (detector === null) return { value: { ...common, detector, bundle: null }, release: () => {} };
    return this.#published.share(detector, { ...common, detector, bundle: this.#holds.metadata(detector) });
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
      this.#ledger.checkRevision(change);
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
      this.#ledger.checkRevision(change);
      const { previous } = this.#ledger.state;
      if (previous === null) {
        throw new AtPatchError("ATPATCH_CONFLICT", "there is no previously active detector to go back to");
      }
      await this.#switchTo(previous, "rolled_back", change);
      return this.snapshot();
    });
  }

  /**
   * Changes the fields of the policy that `patch` names; the result is checked as a whole, and every worker has the
   * detectors it names before it holds.
   * @throws AtPatchError ATPATCH_BAD_INPUT, ATPATCH_UNKNOWN_DETECTOR, ATPATCH_BUNDLE_MISMATCH, ATPATCH_REVISION_MISMATCH
   */
  setPolicy(patch: unknown, change: Change): Promise<RegistrySnapshot> {
    return this.#changes.run(async () => {
      this.#ledger.checkRevision(change);
      const policy = applyPolicy(this.#ledger.state.policy, patch);
      if (JSON.stringify(policy) !== JSON.stringify(this.#ledger.state.policy)) {
        await this.#moveTo("policy", null, { ...this.#ledger.state, policy }, change);
      }
      return this.snapshot();
    });
  }

  /**
   * Removes a stored detector. The previous one may go: there is nothing to roll back to then.
   * @throws AtPatchError ATPATCH_CONFLICT while it is active, shadow or canary, ATPATCH_UNKNOWN_DETECTOR,
   *   ATPATCH_REVISION_MISMATCH
   */
  remove(id: string, change: Change): Promise<void> {
    return this.#changes.run(async () => {
      this.#ledger.checkRevision(change);
      await this.#store.find(id);
      const { state } = this.#ledger;
      const [role] = rolesOf(id, state);
      if (role !== undefined && role !== "previous") throw inUse(id, role);
      // The log goes first: a crash in between leaves a file too many, never a state that names a missing one.
      await this.#moveTo("removed", id, role === "previous" ? { ...state, previous: null } : state, change);
      await this.#store.delete(id);
    });
  }

  /** All stored detectors, the oldest first. */
  async list(): Promise<DetectorInfo[]> {
    return (await this.#store.list()).map((stored) => ({ ...stored, ...this.#standing(stored.id) }));
  }

  /** @throws AtPatchError ATPATCH_UNKNOWN_DETECTOR */
  async describe(id: string): Promise<DetectorDescription> {
    const stored = await this.#store.find(id);
    const { metadata } = parseBundle(await this.#store.get(id));
    return { ...stored, ...this.#standing(id), metadata };
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

  #switchTo(id: string | null, action: ControlAction, change: Change): Promise<void> {
    const { state } = this.#ledger;
    return this.#moveTo(action, id, { ...state, active: id, previous: state.active }, change);
  }

  /** Every worker has the detectors of the new state before the first request can get one of them. */
  async #moveTo(
    action: ControlAction,
    detector: string | null,
    after: ControlState,
    change: Change,
  ): Promise<void> {
    const holds = await this.#holds.prepare(after);
    try {
      await this.#ledger.commit(action, detector, after, change, holds.apply);
    } catch (error) {
      holds.drop();
      throw error;
    }
  }

  async #hold(id: string): Promise<Lease<BundleMetadata>> {
    // Published is not enough: an upload publishes a detector for its self-test before it is stored.
    await this.#store.find(id);
    return this.#published.hold(id, async () => {
      const bundle = parseBundle(await this.#store.get(id));
      // The model may have been replaced since the bundle was stored.
      checkFits(bundle, this.#description);
      return bundle;
    });
  }

  #standing(id: string): Pick<DetectorInfo, "role" | "roles"> {
    const roles = rolesOf(id, this.#ledger.state);
    return { role: roles[0] ?? null, roles };
  }
}
