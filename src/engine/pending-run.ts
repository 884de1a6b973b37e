/** A run on its way: from acceptance until its promise settles, once. */
import { AtPatchError } from "../shared/errors.ts";
import type { RunOptions, RunRequest, RunResult } from "./engine.ts";
import { mergeKey } from "./merge.ts";

/** Why a run left before its answer was there. */
export type Departure = "deadline" | "cancelled";

export class PendingRun {
  readonly request: RunRequest;
  readonly client: string;
  /** Memory that the inputs hold. */
  readonly bytes: number;
  /** Set when it must not share a run with others: it did, and that run failed. */
  alone = false;
  readonly result: Promise<RunResult>;
  /** Times a worker died under it. */
  deaths = 0;
  #key: string | undefined;
  #resolve: (result: RunResult) => void = () => {};
  #reject: (error: AtPatchError) => void = () => {};
  readonly #deadline: number | undefined;
  readonly #signal: AbortSignal | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #onDeparture: (run: PendingRun, why: Departure) => void;
  readonly #submitted = performance.now();
  #begun = 0;
  #settled = false;

  /**
   * @param onDeparture called when deadline or caller settle the run, after its promise is rejected; within the
   *   constructor when the run comes too late already
   */
  constructor(
    request: RunRequest,
    options: RunOptions,
    onDeparture: (run: PendingRun, why: Departure) => void,
  ) {
    this.request = request;
    this.client = options.client ?? "";
    this.bytes = Object.values(request.inputs).reduce((sum, { data }) => sum + data.byteLength, 0);
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#deadline = options.deadline;
    this.#signal = options.signal;
    this.#onDeparture = onDeparture;
    this.#signal?.addEventListener("abort", this.#abort);
    if (this.#signal?.aborted) this.#abort();
    else if (this.#deadline !== undefined) this.#arm(this.#deadline);
  }

  /** Runs with equal keys can be joined. */
  get key(): string {
    return (this.#key ??= mergeKey(this.request));
  }

  get settled(): boolean {
    return this.#settled;
  }

  /** It is handed to a worker: from now on the caller's leaving changes nothing, since a run cannot be called back. */
  dispatch(): void {
    this.#signal?.removeEventListener("abort", this.#abort);
  }

  /** The worker has come to it. */
  begin(): void {
    this.#begun = performance.now();
  }

  /** Settles with the answer, timed; without effect on a run that was settled before. */
  resolve(outcome: Omit<RunResult, "queueMs">): void {
    if (!this.#settle()) return;
    this.#resolve({ ...outcome, queueMs: this.#begun - this.#submitted });
  }

  reject(error: AtPatchError): void {
    if (this.#settle()) this.#reject(error);
  }

  readonly #abort = (): void => this.#depart("cancelled", "the caller went away before the run was started");

  /** Timers may fire a little early; the deadline itself decides. */
  #arm(deadline: number): void {
    const left = deadline - performance.now();
    if (left <= 0) return this.#depart("deadline", "the deadline passed before the answer was ready");
    this.#timer = setTimeout(() => this.#arm(deadline), Math.min(Math.ceil(left), 2 ** 31 - 1));
  }

  #depart(why: Departure, message: string): void {
    if (!this.#settle()) return;
    this.#reject(new AtPatchError("ATPATCH_DEADLINE", message, { cause: this.#signal?.reason }));
    this.#onDeparture(this, why);
  }

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener("abort", this.#abort);
    return true;
  }
}
