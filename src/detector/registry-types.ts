/** What the registry takes and gives. */
import type { PatchDescription } from "../shared/patched-model.ts";
import type { BundleMetadata } from "./bundle.ts";
import type { ControlEntry, ControlState } from "./control-log.ts";
import type { Policy } from "./policy.ts";
import type { DetectorHost } from "./published.ts";
import type { DetectorRole } from "./roles.ts";
import type { DetectorStore, StoredDetector } from "./store.ts";

export interface RegistryOptions {
  /** Name of the model. */
  readonly model: string;
  readonly store: DetectorStore;
  readonly description: PatchDescription;
  readonly host: DetectorHost;
  /** Policy as long as nobody has changed anything; {@link defaultPolicy} when absent. */
  readonly policy?: Policy;
  readonly clock?: () => Date;
  /** Told about failures that nobody waits for, e.g. a listener that threw. */
  readonly warn?: (message: string) => void;
}

/** Who changes something and why. */
export interface Change {
  readonly actor: string;
  readonly reason?: string | null | undefined;
  /** Revision the caller has seen; the change is refused when it is another one now. */
  readonly ifMatch?: number | undefined;
}

/** What a model runs with; `revision` grows by 1 with every change of the rest. */
export interface RegistrySnapshot extends ControlState {
  readonly model: string;
  readonly revision: number;
}

/** The shadow of the moment a request starts, the sites whose features it is scored on, and whether it looks at φ there. */
export interface ShadowLease {
  readonly detector: string;
  readonly sites: readonly number[];
  readonly attention: boolean;
}

/** What one request runs with, from its start to its end. */
export interface DetectorLease {
  readonly detector: string | null;
  /** Why it got this detector. */
  readonly role: "active" | "canary";
  readonly shadow: ShadowLease | null;
  /** Metadata of the detector's bundle, or null without a detector. */
  readonly bundle: BundleMetadata | null;
  readonly policy: Policy;
  readonly revision: number;
}

export interface UploadResult {
  readonly id: string;
  /** False when these bytes were stored already. */
  readonly created: boolean;
  /** What the self-test saw. */
  readonly report: Readonly<Record<string, unknown>>;
}

export interface DetectorInfo extends StoredDetector {
  /** The weightiest of its roles. */
  readonly role: DetectorRole | null;
  readonly roles: readonly DetectorRole[];
}

export interface DetectorDescription extends DetectorInfo {
  readonly metadata: BundleMetadata;
}

/** A change that has happened; `entry.action` is the name of the event. */
export interface RegistryEvent {
  readonly model: string;
  readonly entry: ControlEntry;
}
