/** Keeps a number of workers alive, each with every published detector, and knows which are idle. */
import { AtPatchError } from "../shared/errors.ts";
import type { Frame } from "./frame.ts";
import type { DetectorKey } from "./protocol.ts";
import type { DetectorCarrier } from "./published.ts";
import { RunAhead } from "./run-ahead.ts";
import type { Death, WorkerHandle } from "./worker-handle.ts";

/** Wait before a worker is replaced, by the number of deaths since the last run that ended well. */
const backoffMs = (deaths: number): number => (deaths <= 1 ? 0 : Math.min(100 * 2 ** (deaths - 2), 10_000));

export interface WorkerPoolOptions {
  readonly size: number;
  readonly spawn: () => WorkerHandle;
  /** What a new worker is given before its first run. */
  readonly detectors: () => Iterable<readonly [DetectorKey, Frame]>;
  /** A worker became idle, or can take its next run although it is not. */
  readonly onFree: () => void;
  /** A worker died and will be replaced; `detail` is for the log. */
  readonly onDeath: (detail: string) => void;
  /** No worker is left and the last replacement could not start either. */
  readonly onBroken: (reason: string) => void;
}

export class WorkerPool implements DetectorCarrier {
  readonly #options: WorkerPoolOptions;
  /** Every worker whose thread has not ended, those that are starting included. */
  readonly #workers = new Set<WorkerHandle>();
  readonly #ready = new Set<WorkerHandle>();
  /** Last in, first out: the one that ran last has warm caches. */
  #idle: WorkerHandle[] = [];
  /** Workers whose only run is about to end. */
  readonly #ending = new Set<WorkerHandle>();
  readonly #ahead = new RunAhead<WorkerHandle>((worker) => {
    this.#ending.add(worker);
    this.#options.onFree();
  });
  readonly #restarts = new Set<NodeJS.Timeout>();
  #deaths = 0;
  #brokenBy: string | undefined;
  #stopping = false;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
  }

  /**
   * Starts all workers.
   * @returns the output names of the model's session
   * @throws AtPatchError ATPATCH_BAD_MODEL when a session cannot be made; no thread is left then
   */
  async start(): Promise<readonly string[]> {
    const workers = Array.from({ length: this.#options.size }, () => this.#add());
    try {
      const outputs = await Promise.all(workers.map((worker) => worker.started));
      // Only from here on a dead worker is replaced: a model that cannot be loaded must not start a loop.
      for (const worker of workers) {
        this.#becomeReady(worker);
        void worker.ended.then((death) => this.#replace(worker, death));
      }
      return outputs[0]!;
    } catch (cause) {
      await this.stop();
      if (cause instanceof AtPatchError) throw cause;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new AtPatchError("ATPATCH_INTERNAL", `a worker of the engine ended while starting: ${reason}`, {
        cause,
      });
    }
  }

  /** At least one worker can run. */
  get ready(): boolean {
    return this.#ready.size > 0;
  }

  /** Why no worker can run now, when none can and the last start failed. */
  get brokenBy(): string | undefined {
    return this.#brokenBy;
  }

  /** Takes a worker for one run, an idle one if there is one; {@link begin} is to be called for it, and {@link giveBack}. */
  take(): WorkerHandle | undefined {
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    const [ending] = this.#ending;
    if (ending !== undefined) this.#ending.delete(ending);
    return ending;
  }

  /** A worker that was taken gets its run. @param expectedMs how long it is likely to last, if that is known */
  begin(worker: WorkerHandle, expectedMs: number | undefined): void {
    this.#ahead.begin(worker, expectedMs);
  }

  /** A run on this worker ended and left it in working order. */
  giveBack(worker: WorkerHandle): void {
    this.#deaths = 0;
    this.#ending.delete(worker);
    if (this.#ahead.end(worker) && this.#ready.has(worker)) this.#becomeIdle(worker);
  }

  publish(detector: DetectorKey, tensors: Frame): void {
    for (const worker of this.#workers) worker.publish(detector, tensors);
  }

  async retire(detector: DetectorKey): Promise<void> {
    await Promise.all([...this.#workers].map((worker) => worker.retire(detector)));
  }

  /** Ends all workers, after the runs they are in; none is replaced any more. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const timer of this.#restarts) clearTimeout(timer);
    this.#restarts.clear();
    await Promise.all([...this.#workers].map((worker) => worker.stop()));
  }

  #add(): WorkerHandle {
    const worker = this.#options.spawn();
    this.#workers.add(worker);
    void worker.ended.then(() => this.#workers.delete(worker));
    for (const [detector, tensors] of this.#options.detectors()) worker.publish(detector, tensors);
    return worker;
  }

  #replace(worker: WorkerHandle, { reason, detail }: Death): void {
    const served = this.#ready.delete(worker);
    this.#idle = this.#idle.filter((other) => other !== worker);
    this.#ending.delete(worker);
    this.#ahead.forget(worker);
    if (this.#stopping) return;
    this.#deaths++;
    this.#options.onDeath(detail);
    if (!served && this.#workers.size === 0) {
      this.#brokenBy = reason;
      this.#options.onBroken(reason);
    }
    const timer = setTimeout(() => {
      this.#restarts.delete(timer);
      void this.#addReplacement();
    }, backoffMs(this.#deaths));
    this.#restarts.add(timer);
  }

  async #addReplacement(): Promise<void> {
    const worker = this.#add();
    void worker.ended.then((death) => this.#replace(worker, death));
    try {
      await worker.started;
    } catch {
      // It ends by itself, and is replaced in its turn.
      return;
    }
    this.#brokenBy = undefined;
    this.#becomeReady(worker);
  }

  #becomeReady(worker: WorkerHandle): void {
    this.#ready.add(worker);
    this.#becomeIdle(worker);
  }

  #becomeIdle(worker: WorkerHandle): void {
    this.#idle.push(worker);
    this.#options.onFree();
  }
}
