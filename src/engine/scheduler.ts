/** Between the queue and the workers: which waiting requests go to which idle worker, alone or joined into one run. */
import { AtPatchError, messageOf } from "../shared/errors.ts";
import { hotfixNames } from "../shared/patched-model.ts";
import type { Tensor } from "../shared/tensor.ts";
import type { Batcher } from "./batcher.ts";
import type { EngineObserver, RunOptions, RunRequest, RunResult } from "./engine.ts";
import { packFrame } from "./frame.ts";
import { mergeRequests, splitOutcome } from "./merge.ts";
import { PendingRun } from "./pending-run.ts";
import type { RunMessage } from "./protocol.ts";
import { RunQueue, type QueueLimits } from "./queue.ts";
import { WorkerDied, type WorkerHandle } from "./worker-handle.ts";

/** What the scheduler needs of the workers. */
export interface Workers {
  /** Why no worker can run now, or undefined. */
  readonly brokenBy: string | undefined;
  take(): WorkerHandle | undefined;
  begin(worker: WorkerHandle, expectedMs: number | undefined): void;
  giveBack(worker: WorkerHandle): void;
}

export interface SchedulerOptions {
  /** What may wait. */
  readonly queue: QueueLimits;
  readonly recheck: boolean;
  /** Outputs of the original model, returned unless a request names others. */
  readonly outputs: readonly string[];
  /** How many samples of several requests may share a run; without it each request is a run of its own. */
  readonly batcher?: Batcher;
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

  /** @throws AtPatchError ATPATCH_QUEUE_FULL when no further run would be accepted now */
  requireRoom(): void {
    if (this.#queue.isFullFor(0)) throw this.#queueFull();
  }

  /**
   * Runs a request on the first worker that becomes idle, in turn with other clients.
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

  /** Starts waiting runs while workers can take them. To be called when a worker became free. */
  pump(): void {
    while (this.#queue.depth > 0) {
      const worker = this.#workers.take();
      if (worker === undefined) return;
      const run = this.#queue.takeFirst()!;
      void this.#start([run, ...this.#companions(run)], worker);
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
    if (this.#waitsForCompany(run)) return;
    const worker = this.#workers.take();
    if (worker !== undefined) {
      void this.#start([run], worker);
      return;
    }
    if (this.#queue.add(run)) return;
    run.reject(this.#queueFull());
  }

  #queueFull(): AtPatchError {
    this.#options.observer.rejected?.("queue_full");
    return new AtPatchError("ATPATCH_QUEUE_FULL", `${this.queued} runs are waiting already; try again later`);
  }

  /** Lets a run wait although a worker may be idle, when the batcher is told to and others may still go along with it. */
  #waitsForCompany(run: PendingRun): boolean {
    const { batcher } = this.#options;
    if (batcher === undefined || batcher.delayMs === 0) return false;
    const room = batcher.room(run.key);
    if (run.request.batch >= room || !this.#queue.add(run)) return false;
    if (this.#queue.depth >= room) this.pump();
    else setTimeout(() => this.pump(), batcher.delayMs);
    return true;
  }

  /** Waiting runs that go along with `first`. */
  #companions(first: PendingRun): PendingRun[] {
    const { batcher } = this.#options;
    if (batcher === undefined || first.alone || this.#queue.depth === 0) return [];
    const { key } = first;
    let room = batcher.room(key) - first.request.batch;
    if (room <= 0) return [];
    return this.#queue.takeMatching((run) => {
      const fits = run.request.batch <= room && !run.alone && run.key === key;
      if (fits) room -= run.request.batch;
      return fits;
    });
  }

  async #start(runs: readonly PendingRun[], worker: WorkerHandle): Promise<void> {
    const { observer, batcher } = this.#options;
    for (const run of runs) run.dispatch();
    const request = mergeRequests(runs.map((run) => run.request));
    observer.batch?.(request.batch);
    this.#workers.begin(worker, batcher?.expectedMs(runs[0]!.key, request.batch));
    try {
      const outcome = await worker.run(this.#message(request), () => {
        for (const run of runs) run.begin();
      });
      // The next run first: the worker should not wait while this one's caller is served.
      this.#workers.giveBack(worker);
      batcher?.measured(runs[0]!.key, request.batch, outcome.inferMs);
      const parts = runs.length === 1 ? [outcome] : splitOutcome(outcome, batchesOf(runs));
      if (parts === null) {
        batcher?.keepApart(runs[0]!.key);
        return this.#separate(runs);
      }
      if (outcome.rechecked.length > 0) observer.rechecked?.(outcome.rechecked.length);
      runs.forEach((run, i) => run.resolve(parts[i]!));
    } catch (error) {
      if (error instanceof WorkerDied) return this.#retry(runs, error.begun);
      this.#workers.giveBack(worker);
      if (runs.length > 1) return this.#separate(runs);
      runs[0]!.reject(
        error instanceof AtPatchError
          ? error
          : new AtPatchError("ATPATCH_INTERNAL", messageOf(error), { cause: error }),
      );
    }
  }

  /** A request must not fail by what others sent: each gets a run of its own. */
  #separate(runs: readonly PendingRun[]): void {
    for (const run of runs.toReversed()) {
      if (run.settled) continue;
      run.alone = true;
      this.#queue.addFirst(run);
    }
    this.pump();
  }

  /** A run may kill one worker, be it by bad luck; the second death, when it ran alone, is taken for its fault. */
  #retry(runs: readonly PendingRun[], begun: boolean): void {
    const again = runs.filter((run) => !run.settled);
    if (begun) for (const run of again) run.deaths++;
    const guilty = again.find((run) => run.deaths > 1);
    if (guilty) {
      return guilty.reject(new AtPatchError("ATPATCH_INTERNAL", "the worker died under this run, twice"));
    }
    const { brokenBy } = this.#workers;
    if (brokenBy !== undefined) return again.forEach((run) => run.reject(notReady(brokenBy)));
    this.#separate(again);
  }

  #message({
    inputs,
    modes,
    batch,
    force,
    detector,
    outputs,
    report = [],
    attention = true,
  }: RunRequest): RunMessage {
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
      attention,
      recheck: this.#options.recheck,
    };
  }
}

function batchesOf(runs: readonly PendingRun[]): number[] {
  return runs.map(({ request }) => request.batch);
}

function notReady(reason: string): AtPatchError {
  return new AtPatchError("ATPATCH_NOT_READY", `no worker of the model can be started: ${reason}`);
}
