/** A repair: from samples that went wrong to a detector that is ready to be tried. */
import type { ErrorCode } from "../shared/errors.ts";

export interface RepairOptions {
  readonly seed: number;
  /** Share of clean requests that may be flagged. */
  readonly falseFlagRate: number;
  /** Share of clean predictions that may change. */
  readonly maxAltered: number;
  /** Go on when attention columns carry only a part of the failures. */
  readonly acceptPartial: boolean;
  /** Fit nothing to the failing samples: flag what is unlike ordinary attention. */
  readonly conformal: boolean;
}

export const defaultRepairOptions: RepairOptions = Object.freeze({
  seed: 0,
  falseFlagRate: 0.02,
  maxAltered: 0.005,
  acceptPartial: false,
  conformal: false,
});

/** Samples of a debug set by kind. */
export interface SetCounts {
  readonly clean: number;
  readonly failing: number;
}

/** How far a repair is; `all` is 0 where a stage has no steps to count. */
export interface RepairProgress {
  readonly stage: string;
  readonly done: number;
  readonly all: number;
}

export type RepairState = "running" | "done" | "failed" | "cancelled";

/** A repair as operators see it. */
export interface RepairJob {
  readonly id: string;
  readonly model: string;
  readonly state: RepairState;
  /** Name of the token that started it. */
  readonly by: string;
  readonly reason: string | null;
  readonly options: RepairOptions;
  readonly samples: SetCounts;
  readonly progress: RepairProgress;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly endedAt: string | null;
  /** The detector it made, stored and in no role yet. */
  readonly detector: string | null;
  /** What the self-test of the stored detector saw. */
  readonly report: Readonly<Record<string, unknown>> | null;
  readonly failure: { readonly code: ErrorCode; readonly error: string } | null;
}

/** What a repair works on. */
export interface RepairTask {
  readonly model: string;
  /** Debug sets, each JSON Lines, optionally gzip; together they are one set. */
  readonly debugSets: readonly Uint8Array[];
  readonly options: RepairOptions;
}

/** A repair under way. */
export interface RepairRun {
  /** Once the set was read. Rejects with ATPATCH_BAD_DEBUG_SET naming the line. */
  readonly accepted: Promise<SetCounts>;
  /** The finished bundle. Rejects with why there is none. */
  readonly bundle: Promise<Uint8Array>;
  /** Stops it at once; resolves when nothing of it runs any more. */
  stop(): Promise<void>;
}

/** Does the work, away from the thread that serves. */
export interface RepairRunner {
  start(task: RepairTask, progress: (progress: RepairProgress) => void): RepairRun;
}
