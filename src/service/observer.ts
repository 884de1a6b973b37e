/** What the services report while they work; metrics subscribe to it. */
import type { Mode } from "../shared/patched-model.ts";

export type Stage = "decode" | "queue" | "infer" | "encode";

/** The samples of one answered request. */
export interface SampleReport {
  readonly model: string;
  /** Detector id, or null. */
  readonly detector: string | null;
  readonly mode: Mode;
  readonly samples: number;
  readonly triggered: number;
  /** Flagged columns by the site that flagged them first. */
  readonly flagged: ReadonlyMap<number, number>;
}

/** What the guard reports. */
export interface GuardObserver {
  /** A detector was activated or rolled back; the attempt was refused for what it asked, or it failed. */
  swapped(model: string, result: "ok" | "refused" | "failed", milliseconds: number): void;
  /** The guard has taken a detector out. */
  guarded(model: string, reason: "trigger_rate" | "label_flip_rate"): void;
}

/** What shadows report. */
export interface ShadowObserver {
  /** One sample: whether the active detector triggered on it, and whether the shadow would have. */
  shadowed(model: string, active: boolean, shadow: boolean): void;
  /** Samples that were not scored because scoring could not keep up. */
  shadowDropped(model: string, samples: number): void;
}

export interface ServiceObserver extends GuardObserver, ShadowObserver {
  answered(report: SampleReport): void;
  stage(model: string, stage: Stage, milliseconds: number): void;
  /** Detection failed and the policy let the unpatched answer out. */
  failedOpen(model: string): void;
}
