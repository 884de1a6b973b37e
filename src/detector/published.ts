/** Which detectors the engine has: one is published when the first holder asks for it and retired when the last has let go. */
import { LeaseCounter, type Lease } from "../shared/lease.ts";
import type { DetectorTensors } from "../shared/detector-tensors.ts";
import type { Bundle, BundleMetadata } from "./bundle.ts";

/** What runs detectors; the engine's side of the registry. */
export interface DetectorHost {
  /** A run that starts after it has resolved can use the detector. Idempotent per id. */
  publish(id: string, tensors: DetectorTensors): Promise<void>;
  /** Forgets a detector that no request uses any more. */
  retire(id: string): Promise<void>;
  /**
   * Tries a published detector out and reports what was seen.
   * @throws AtPatchError ATPATCH_SELF_TEST
   */
  selfTest?(id: string, tensors: DetectorTensors, metadata: BundleMetadata): Promise<Record<string, unknown>>;
}

interface Entry {
  readonly leases: LeaseCounter;
  readonly ready: Promise<BundleMetadata>;
  /** Whether the host was asked to publish; it may have got halfway. */
  asked: boolean;
}

/** Reference counts over a host. Holders are the registry's state, running requests and self-tests. */
export class PublishedDetectors {
  readonly #host: DetectorHost;
  readonly #warn: (message: string) => void;
  readonly #entries = new Map<string, Entry>();
  /** Retirements under way; publishing the same id again waits for them. */
  readonly #retiring = new Map<string, Promise<void>>();

  constructor(host: DetectorHost, warn: (message: string) => void) {
    this.#host = host;
    this.#warn = warn;
  }

  /**
   * Holds a detector, publishing it when it is not; `load` is asked for the bundle then.
   * Rejects with what `load` or the host throws.
   */
  async hold(id: string, load: () => Promise<Bundle>): Promise<Lease<BundleMetadata>> {
    const entry = this.#entries.get(id) ?? this.#publish(id, load);
    const lease = entry.leases.lease(null);
    try {
      return { value: await entry.ready, release: () => lease.release() };
    } catch (error) {
      lease.release();
      throw error;
    }
  }

  /** One more hold on a detector that is held already. */
  share<T>(id: string, value: T): Lease<T> {
    const entry = this.#entries.get(id);
    if (!entry) throw new Error(`detector ${id} is not published`);
    return entry.leases.lease(value);
  }

  #publish(id: string, load: () => Promise<Bundle>): Entry {
    const publishing = async (): Promise<BundleMetadata> => {
      await this.#retiring.get(id);
      const bundle = await load();
      entry.asked = true;
      await this.#host.publish(id, bundle.tensors);
      return bundle.metadata;
    };
    const entry: Entry = {
      // Behind a settled promise, so that `entry` exists when it starts.
      ready: Promise.resolve().then(publishing),
      leases: new LeaseCounter(() => this.#retire(id, entry)),
      asked: false,
    };
    this.#entries.set(id, entry);
    return entry;
  }

  #retire(id: string, entry: Entry): void {
    this.#entries.delete(id);
    const done = entry.ready
      .catch(() => {})
      .then(() => (entry.asked ? this.#host.retire(id) : undefined))
      .catch(() => this.#warn(`detector ${id} could not be retired; it keeps its memory`))
      .finally(() => {
        if (this.#retiring.get(id) === done) this.#retiring.delete(id);
      });
    this.#retiring.set(id, done);
  }
}
