/**
 * Between the queue and the workers: which waiting run goes to which idle worker. One request is one run for now; joining
 * several requests into one run has its place here.
 */
import { AtPatchError, messageOf } from "../shared/errors.ts";
import { hotfixNames } from "../shared/patched-model.ts";
import type { Tensor } from "../shared/tensor.ts";
import type { EngineObserver, RunOptions, RunRequest, RunResult } from "./engine.ts";
import { packFrame } from "./frame.ts";
import { PendingRun } from "./pending-run.ts";
import type { RunMessage } from "./protocol.ts";
import { RunQueue } from "./queue.ts";
import { WorkerDied, type WorkerHandle } from "./worker-handle.ts";

/** What the scheduler needs of the workers. */
export interface Workers {
  /** Why no worker can run now, or undefined. */
  readonly brokenBy: string | undefined;
  take(): WorkerHandle | undefined;
  giveBack(worker: WorkerHandle): void;
}

export interface SchedulerOptions {
  readonly queue: number;
  readonly recheck: boolean;
  /** Outputs of the original model, returned unless a request names others. */
  readonly outputs: readonly string[];
  readonly observer: EngineObserver;
}

export class Scheduler {
  readonly #workers: Workers;
  readonly #options: SchedulerOptions;
  readonly #queue: RunQueue<PendingRun>;
  /** Accepted runs that have not settled. */
  #open = 0;
  readonly #whenDrained: (() => void)[] = [];

  constructor(workers: Workers, options: SchedulerOptions) {
    this.#workers = workers;
    this.#options = options;
    this.#queue = new RunQueue(options.queue, (depth) => options.observer.queueDepth?.(depth));
  }

  get queued(): number {
    return this.#queue.depth;
  }

  /**
   * Runs a request on the first worker that becomes idle, in the order of arrival.
   * @throws AtPatchError ATPATCH_QUEUE_FULL, ATPATCH_DEADLINE, ATPATCH_NOT_READY, ATPATCH_UNPROCESSABLE, ATPATCH_INTERNAL
   */
  async submit(request: RunRequest, options: RunOptions): Promise<RunResult> {
    if (this.#workers.brokenBy !== undefined) throw notReady(this.#workers.brokenBy);
    const run = new PendingRun(request, options, (departed, why) => {
      this.#queue.remove(departed);
      this.#options.observer.rejected?.(why);
    });
    this.#open++;
    try {
      if (!run.settled) this.#accept(run);
      return await run.result;
    } finally {
      this.#open--;
      if (this.#open === 0) for (const resolve of this.#whenDrained.splice(0)) resolve();
    }
  }

  /** Starts waiting runs while workers are idle. To be called when a worker became idle. */
  pump(): void {
    while (this.#queue.depth > 0) {
      const worker = this.#workers.take();
      if (worker === undefined) return;
      void this.#start(this.#queue.takeFirst()!, worker);
    }
  }

  /** Fails every waiting run: no worker is left that could take it. */
  failWaiting(reason: string): void {
    for (let run = this.#queue.takeFirst(); run; run = this.#queue.takeFirst()) run.reject(notReady(reason));
  }

  /** Resolves when every accepted run has settled. */
  async drained(): Promise<void> {
    if (this.#open > 0) await new Promise<void>((resolve) => this.#whenDrained.push(resolve));
  }

  #accept(run: PendingRun): void {
    const worker = this.#workers.take();
    if (worker !== undefined) {
      void this.#start(run, worker);
      return;
    }
    if (this.#queue.add(run)) return;
    this.#options.observer.rejected?.("queue_full");
    run.reject(
      new AtPatchError("ATPATCH_QUEUE_FULL", `${this.queued} runs are waiting already; try again later`),
    );
  }

  async #start(run: PendingRun, worker: WorkerHandle): Promise<void> {
    run.dispatch();
    this.#options.observer.batch?.(run.request.batch);
    try {
      const outcome = await worker.run(this.#message(run.request));
      // The next run first: the worker should not wait while this one's caller is served.
      this.#workers.giveBack(worker);
      if (outcome.rechecked > 0) this.#options.observer.rechecked?.(outcome.rechecked);
      run.resolve(outcome);
    } catch (error) {
      if (error instanceof WorkerDied) return this.#retry(run);
      this.#workers.giveBack(worker);
      run.reject(
        error instanceof AtPatchError
          ? error
          : new AtPatchError("ATPATCH_INTERNAL", messageOf(error), { cause: error }),
      );
    }
  }

  /** A run may kill one worker, be it by bad luck; the second death is taken for its fault. */
  #retry(run: PendingRun): void {
    run.deaths++;
    if (run.settled) return;
    if (run.deaths > 1) {
      run.reject(new AtPatchError("ATPATCH_INTERNAL", "the worker died under this run, twice"));
      return;
    }
    if (this.#workers.brokenBy !== undefined) return run.reject(notReady(this.#workers.brokenBy));
    this.#queue.addFirst(run);
    this.pump();
  }

  #message({ inputs, modes, batch, force, detector, outputs, report = [] }: RunRequest): RunMessage {
    const feeds: Record<string, Tensor> = { ...inputs };
    feeds[hotfixNames.mode] = { datatype: "INT32", shape: [batch], data: modes };
    for (const [axis, columns] of Object.entries(force ?? {})) {
      feeds[hotfixNames.force(Number(axis))] = { ...columns, datatype: "BOOL" };
    }
    return {
      kind: "run",
      detector,
      batch,
      feeds: packFrame(feeds),
      outputs: outputs ?? this.#options.outputs,
      report,
      recheck: this.#options.recheck,
    };
  }
}

function notReady(reason: string): AtPatchError {
  return new AtPatchError("ATPATCH_NOT_READY", `no worker of the model can be started: ${reason}`);
}
