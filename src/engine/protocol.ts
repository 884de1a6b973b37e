/** What the engine and its worker threads say to each other. Messages of one direction arrive in the order they were sent. */
import type { ErrorCode } from "../shared/errors.ts";
import type { PatchDescription } from "../shared/patched-model.ts";
import type { RunResult } from "./engine.ts";
import type { Frame } from "./frame.ts";

/** Name under which a worker keeps a detector; `null` is the neutral one. */
export type DetectorKey = string | null;

/** How the runtime session is made. */
export interface SessionSettings {
  /** Intra-op threads of one session. */
  readonly threads: number;
  /** Directory that external data paths of the model are relative to. */
  readonly folder: string;
  /** Execution providers in order of preference. */
  readonly providers: readonly string[];
  readonly graphOptimization: "disabled" | "basic" | "extended" | "layout" | "all";
}

/** What a worker is started with. */
export interface WorkerStart {
  /** The patched graph; on shared memory, so that starting a worker copies nothing on the engine's thread. */
  readonly model: Uint8Array;
  readonly description: PatchDescription;
  readonly session: SessionSettings;
}

export type ToWorker =
  | { readonly kind: "publish"; readonly detector: DetectorKey; readonly tensors: Frame }
  | { readonly kind: "retire"; readonly detector: DetectorKey }
  | RunMessage
  | { readonly kind: "stop" };

export interface RunMessage {
  readonly kind: "run";
  readonly detector: DetectorKey;
  readonly batch: number;
  /** Original inputs, `atpatch.mode` and the forced axes, under their graph names. */
  readonly feeds: Frame;
  /** Outputs to return besides flags and scores. */
  readonly outputs: readonly string[];
  /** Sites that report their features, and whether φ is among them. */
  readonly report: readonly number[];
  readonly attention: boolean;
  /** Whether samples with a late first flag take a second pass. */
  readonly recheck: boolean;
}

/** The part of a result that the worker knows. */
export type RunOutcome = Omit<RunResult, "queueMs">;

export type FromWorker =
  | { readonly kind: "ready"; readonly outputs: readonly string[] }
  | { readonly kind: "unusable"; readonly message: string }
  /** Answers `retire`, in order. */
  | { readonly kind: "acknowledged" }
  | { readonly kind: "done"; readonly outcome: RunOutcome }
  | { readonly kind: "failed"; readonly code: ErrorCode; readonly message: string };
