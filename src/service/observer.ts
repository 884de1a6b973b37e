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

export interface ServiceObserver {
  answered(report: SampleReport): void;
  stage(model: string, stage: Stage, milliseconds: number): void;
  /** A detector was activated or rolled back, or the attempt failed. */
  swapped(model: string, result: "ok" | "failed", milliseconds: number): void;
  /** Detection failed and the policy let the unpatched answer out. */
  failedOpen(model: string): void;
}
