/** What runs a patched model. Implementations keep the event loop free and pin a run to one detector. */
import type { DetectorTensors } from "../shared/detector-tensors.ts";
import type { PatchDescription } from "../shared/patched-model.ts";
import type { SiteReport } from "../shared/site-report.ts";
import type { Tensor } from "../shared/tensor.ts";

/** One run over a batch; samples may differ in mode and force, never in detector. */
export interface RunRequest {
  /** Every input of the original model, batch first. */
  readonly inputs: Readonly<Record<string, Tensor>>;
  /** Number of samples B. */
  readonly batch: number;
  /** Per sample: 0 off, 1 observe, 2 enforce (`modeCodes`). */
  readonly modes: Int32Array;
  /** A published detector, or null for none (nothing is flagged unless forced). */
  readonly detector: string | null;
  /** Columns to flag per key axis: a UINT8/BOOL tensor [B, T]; absent axes are not forced. */
  readonly force?: Readonly<Record<number, Tensor>>;
  /** Outputs to return; all of the original model when absent. `collect` builds also have taps. */
  readonly outputs?: readonly string[];
  /**
   * Sites whose features the run is to report, for scoring another detector on them; none when absent. Every sample is
   * reported whatever its mode: features do not depend on it.
   */
  readonly report?: readonly number[];
  /** Whether reports need φ beyond telling the visible keys; true when absent. */
  readonly attention?: boolean;
}

export interface RunOptions {
  /**
   * Absolute time in ms (`performance.now()` clock) after which the answer is no longer wanted: a queued run is dropped, a
   * started one goes on without a caller.
   */
  readonly deadline?: number;
  /** Aborted when the caller has gone: a queued run is dropped (ATPATCH_DEADLINE), a started one is not interrupted. */
  readonly signal?: AbortSignal;
  /** Whose run it is: waiting runs of different clients take turns. All runs that name none share one turn. */
  readonly client?: string;
}

/** Flags of one key axis. */
export interface AxisFlags {
  /** Number of key positions T. */
  readonly keys: number;
  /** int32 [B·T]: 0, or 1 + index of the first site at which the column was flagged. */
  readonly firstSite: Int32Array;
  /** float32 [B·T]: detector logit where flagged by the detector, else 0. */
  readonly score: Float32Array;
}

export interface RunResult {
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly flags: readonly AxisFlags[];
  /** Columns of the first key axis that the detector forces in every sample; absent when it forces none. */
  readonly forced?: readonly number[];
  /** One entry for every site of `RunRequest.report`, from the first pass; absent when nothing was asked for. */
  readonly reports?: readonly SiteReport[];
  /** Samples that took a second pass because their first flag came late. */
  readonly rechecked: readonly number[];
  /** How much of `inferMs` the second pass took; absent without one. */
  readonly recheckMs?: number;
  readonly queueMs: number;
  readonly inferMs: number;
}

/**
 * @throws AtPatchError from `run`: ATPATCH_QUEUE_FULL, ATPATCH_DEADLINE, ATPATCH_NOT_READY (draining,
 *   or no worker can be started), ATPATCH_UNKNOWN_DETECTOR, ATPATCH_UNPROCESSABLE (the request does not fit the model, or
 *   the runtime refused its inputs), ATPATCH_INTERNAL (the worker died twice)
 */
export interface InferenceEngine {
  readonly description: PatchDescription;
  /** Gives a detector's tensors to every worker: a run that is accepted afterwards can name it. Idempotent per id. */
  publish(id: string, tensors: DetectorTensors): Promise<void>;
  /**
   * Forgets a detector everywhere. Runs that name it afterwards fail; those accepted before still have it, and the promise
   * resolves when the last of them has ended and the memory is free.
   */
  retire(id: string): Promise<void>;
  run(request: RunRequest, options?: RunOptions): Promise<RunResult>;
  /**
   * Refuses as `run` would while the queue has no room left: spares the reading of inputs that would be refused.
   * @throws AtPatchError ATPATCH_QUEUE_FULL
   */
  requireRoom(): void;
  /** Runs waiting, not counting those running. */
  readonly queued: number;
  readonly ready: boolean;
  /** Refuses new runs, finishes the accepted ones, stops the workers. Idempotent. */
  close(): Promise<void>;
}

/** What an engine reports while it works; metrics subscribe to it. */
export interface EngineObserver {
  queueDepth?(depth: number): void;
  rejected?(reason: "queue_full" | "deadline" | "cancelled" | "draining"): void;
  /** `why` is for the log, not for callers: it may name paths. */
  workerRestarted?(why: string): void;
  batch?(samples: number): void;
  rechecked?(samples: number): void;
}
