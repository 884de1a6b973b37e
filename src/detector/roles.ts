/** What detectors are to a model: named by its state, held as long as it names them. */
import { createHash } from "node:crypto";
import { AtPatchError } from "../shared/errors.ts";
import type { Lease } from "../shared/lease.ts";
import type { BundleMetadata } from "./bundle.ts";
import type { ControlState } from "./control-log.ts";
import type { ShadowLease } from "./registry-types.ts";
import { detectorsOf, type Policy } from "./policy.ts";

/** active, canary: answer requests; shadow: scored beside them; previous: what a rollback goes back to. */
export type DetectorRole = "active" | "canary" | "shadow" | "previous";

/** The roles of a detector, the weightiest first. */
export function rolesOf(id: string, { active, previous, policy }: ControlState): DetectorRole[] {
  const roles: DetectorRole[] = [];
  if (id === active) roles.push("active");
  if (id === policy.canary?.detector) roles.push("canary");
  if (id === policy.shadow) roles.push("shadow");
  if (id === previous) roles.push("previous");
  return roles;
}

/** The error for removing a detector that requests may meet. */
export function inUse(id: string, role: DetectorRole): AtPatchError {
  const what =
    role === "active" ? "is active; activate another one first" : `is the ${role}; change the policy first`;
  return new AtPatchError("ATPATCH_CONFLICT", `detector ${id} ${what}`);
}

/** Publishes a detector and holds it. */
export type HoldDetector = (id: string) => Promise<Lease<BundleMetadata>>;

/** The detectors that a state names, as leases. Callers must not overlap. */
export class RoleHolds {
  readonly #hold: HoldDetector;
  #held = new Map<string, Lease<BundleMetadata>>();

  constructor(hold: HoldDetector) {
    this.#hold = hold;
  }

  /** Metadata of a detector that is held as active, canary or shadow. */
  metadata(id: string): BundleMetadata | null {
    return this.#held.get(id)?.value ?? null;
  }

  /** The shadow of a policy that holds. */
  shadow({ shadow }: Policy): ShadowLease | null {
    if (shadow === null) return null;
    const metadata = this.metadata(shadow);
    return {
      detector: shadow,
      sites: metadata?.detectionSites ?? [],
      attention: metadata?.features !== "value",
    };
  }

  /**
   * Gets hold of every detector that requests may meet in a state. `apply` makes the state's holds the present ones, `drop`
   * lets go of the new ones. The previous detector stays held when it is, and is not fetched otherwise.
   * @throws AtPatchError what holding throws, naming the field of the policy
   */
  async prepare(state: ControlState): Promise<{ apply: () => void; drop: () => void }> {
    const { active, policy } = state;
    const named = [...(active === null ? [] : [{ id: active, field: null }]), ...detectorsOf(policy)];
    const fresh = new Map<string, Lease<BundleMetadata>>();
    const drop = (): void => {
      for (const lease of fresh.values()) lease.release();
    };
    try {
      for (const { id, field } of named) {
        if (this.#held.has(id) || fresh.has(id)) continue;
        fresh.set(id, await inField(field, this.#hold(id)));
      }
    } catch (error) {
      drop();
      throw error;
    }
    return { apply: () => this.#apply(state, fresh), drop };
  }

  #apply(state: ControlState, fresh: ReadonlyMap<string, Lease<BundleMetadata>>): void {
    const held = new Map<string, Lease<BundleMetadata>>();
    for (const [id, lease] of [...this.#held, ...fresh]) {
      if (rolesOf(id, state).length > 0) held.set(id, lease);
      else lease.release();
    }
    this.#held = held;
  }
}

/**
 * Whether a request belongs to the canary's share: by the hash of its key, so that the same key always gets the same
 * detector, a larger share keeps those it had, and another canary draws others.
 */
export function isInCanary({ canary }: Policy, key: string | undefined): boolean {
  if (canary === null || key === undefined) return false;
  const hash = createHash("sha256").update(canary.detector).update(key).digest().readUInt32BE();
  return hash * 100 < canary.percent * 2 ** 32;
}

/** The result of holding; a failure is told with the field that names the detector. */
async function inField<T>(field: string | null, held: Promise<T>): Promise<T> {
  try {
    return await held;
  } catch (error) {
    if (field === null || !(error instanceof AtPatchError)) throw error;
    throw new AtPatchError(error.code, `${field}: ${error.message}`, { cause: error });
  }
}
