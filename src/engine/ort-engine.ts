/** The engine over onnxruntime-node: a pool of worker threads with one session each, behind a bounded queue. */
import type { DetectorTensors } from "../shared/detector-tensors.ts";
import { AtPatchError } from "../shared/errors.ts";
import type { PatchDescription, PatchedModel } from "../shared/patched-model.ts";
import { Batcher, type BatchLimits } from "./batcher.ts";
import type { EngineObserver, InferenceEngine, RunOptions, RunRequest, RunResult } from "./engine.ts";
import type { SessionSettings, WorkerStart } from "./protocol.ts";
import { PublishedDetectors } from "./published.ts";
import { checkRequest, type RequestLimits } from "./request-check.ts";
import { Scheduler } from "./scheduler.ts";
import { spawnWorker, type SpawnWorker } from "./spawn-worker.ts";
import { WorkerHandle } from "./worker-handle.ts";
import { WorkerPool } from "./worker-pool.ts";

export interface OrtEngineOptions {
  readonly patched: PatchedModel;
  /** Directory that the model's external data paths are relative to. */
  readonly folder: string;
  /** The tensors that stand for no detector: nothing is flagged unless forced. */
  readonly neutral: DetectorTensors;
  /** Worker threads, one session each. */
  readonly workers: number;
  /** Intra-op threads of one session. */
  readonly threads: number;
  /** Most runs that may wait. */
  readonly queue: number;
  /** Most bytes of inputs that may wait; no limit when absent. */
  readonly queueBytes?: number;
  /** Joins waiting requests into one run, if the samples of the model do not depend on each other; never when absent. */
  readonly batching?: BatchLimits;
  /** Deadline of runs that name none, in ms from their acceptance; none when absent. */
  readonly deadlineMs?: number;
  /** Most samples of one run; no limit when absent. */
  readonly maxBatch?: number;
  readonly observer?: EngineObserver;
  /** Second pass for samples whose first flag comes late; on by default. */
  readonly recheck?: boolean;
  readonly execution?: Partial<Pick<SessionSettings, "providers" | "graphOptimization">>;
  /** How a thread is started; tests keep hold of the thread with it. */
  readonly spawn?: SpawnWorker;
}

/**
 * Starts the workers and resolves when all of them have loaded the model. Input arrays of a run are copied when a worker
 * takes it, so they stay the caller's and must not change until the run settles.
 * @throws AtPatchError ATPATCH_BAD_SETTINGS, or ATPATCH_BAD_MODEL when the runtime cannot load the model
 */
export async function createOrtEngine(options: OrtEngineOptions): Promise<InferenceEngine> {
  atLeast("workers", options.workers, 1);
  atLeast("threads", options.threads, 1);
  atLeast("queue", options.queue, 0);
  if (options.maxBatch !== undefined) atLeast("maxBatch", options.maxBatch, 1);
  if (options.deadlineMs !== undefined) atLeast("deadlineMs", options.deadlineMs, 1);

  const { patched, observer = {}, spawn = spawnWorker } = options;
  const start = workerStart(options);
  const pool: WorkerPool = new WorkerPool({
    size: options.workers,
    spawn: () => new WorkerHandle(spawn(start)),
    detectors: () => published,
    onFree: () => scheduler.pump(),
    onDeath: (detail) => observer.workerRestarted?.(detail),
    onBroken: (reason) => scheduler.failWaiting(reason),
  });
  const published = new PublishedDetectors(pool);
  const scheduler = new Scheduler(pool, {
    queue: { runs: options.queue, bytes: options.queueBytes ?? Infinity },
    ...(options.batching && patched.description.independent && { batcher: new Batcher(options.batching) }),
    recheck: options.recheck ?? true,
    outputs: patched.description.outputs.map(({ name }) => name),
    observer,
  });
  published.publish(null, options.neutral);
  const outputs = new Set(await pool.start());
  return new OrtEngine(pool, published, scheduler, {
    limits: { description: patched.description, outputs, maxBatch: options.maxBatch ?? Infinity },
    deadlineMs: options.deadlineMs,
    observer,
  });
}

interface RunPolicy {
  readonly limits: RequestLimits;
  readonly deadlineMs: number | undefined;
  readonly observer: EngineObserver;
}

class OrtEngine implements InferenceEngine {
  readonly #pool: WorkerPool;
  readonly #published: PublishedDetectors;
  readonly #scheduler: Scheduler;
  readonly #policy: RunPolicy;
  #closed: Promise<void> | undefined;

  constructor(pool: WorkerPool, published: PublishedDetectors, scheduler: Scheduler, policy: RunPolicy) {
    this.#pool = pool;
    this.#published = published;
    this.#scheduler = scheduler;
    this.#policy = policy;
  }

  get description(): PatchDescription {
    return this.#policy.limits.description;
  }

  requireRoom(): void {
    this.#scheduler.requireRoom();
  }

  get queued(): number {
    return this.#scheduler.queued;
  }

  get ready(): boolean {
    return this.#closed === undefined && this.#pool.ready;
  }

  async publish(id: string, tensors: DetectorTensors): Promise<void> {
    this.#published.publish(id, tensors);
  }

  async retire(id: string): Promise<void> {
    await this.#published.retire(id);
  }

  async run(request: RunRequest, options: RunOptions = {}): Promise<RunResult> {
    const { limits, deadlineMs, observer } = this.#policy;
    if (this.#closed !== undefined) {
      observer.rejected?.("draining");
      throw new AtPatchError("ATPATCH_NOT_READY", "the engine is closing and takes no more runs");
    }
    checkRequest(request, limits);
    const release = this.#published.hold(request.detector);
    try {
      const deadline = options.deadline ?? (deadlineMs && performance.now() + deadlineMs);
      return await this.#scheduler.submit(request, {
        ...options,
        ...(deadline !== undefined && { deadline }),
      });
    } finally {
      release();
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#scheduler.drained().then(() => this.#pool.stop());
    return this.#closed;
  }
}

/** What every worker starts with; the model's bytes are copied once, to memory that all threads see. */
function workerStart({ patched, folder, threads, execution = {} }: OrtEngineOptions): WorkerStart {
  const model = new Uint8Array(new SharedArrayBuffer(patched.bytes.byteLength));
  model.set(patched.bytes);
  const { providers = ["cpu"], graphOptimization = "all" } = execution;
  return {
    model,
    description: patched.description,
    session: { threads, folder, providers, graphOptimization },
  };
}

function atLeast(name: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least) return;
  throw new AtPatchError(
    "ATPATCH_BAD_SETTINGS",
    `${name} must be a whole number from ${least}, got ${value}`,
  );
}
