/** Scores detectors on features of finished runs in a thread of its own; what it cannot keep up with is dropped, not queued. */
import { Worker } from "node:worker_threads";
import { messageOf } from "../shared/errors.ts";
import { tensorThreadLimits } from "../shared/thread-memory.ts";
import type { DetectorTensors } from "../shared/detector-tensors.ts";
import { scorerOf, type ScoredSite, type Scorer } from "./score.ts";
import type { FromShadowWorker, ToShadowWorker } from "./shadow-protocol.ts";

export interface ScoreRequest {
  readonly detector: string;
  readonly batch: number;
  readonly reports: readonly ScoredSite[];
  /** Whether nobody else needs the arrays: they are moved to the thread instead of copied. */
  readonly owned: boolean;
}

interface Job {
  readonly bytes: number;
  readonly settle: (gates: readonly boolean[] | null) => void;
}

/** Most bytes of features on their way; one run that has more is let through when it is alone. */
const mostBytes = 32 * 2 ** 20;
/** Most runs on their way. */
const mostJobs = 64;

export class ShadowScorer {
  readonly #model: Uint8Array;
  readonly #warn: (message: string) => void;
  /** Detectors with the number of models that published them. */
  readonly #scorers = new Map<string, { readonly scorer: Scorer; holders: number }>();
  readonly #jobs = new Map<number, Job>();
  #bytes = 0;
  #nextJob = 0;
  #worker: Worker | null = null;
  #closed = false;

  /** @param model the bytes of `hotfix/score-model.ts` */
  constructor(model: Uint8Array, warn: (message: string) => void = () => {}) {
    this.#model = model;
    this.#warn = warn;
  }

  /** Makes a detector known; the thread starts with the first run to be scored. */
  publish(detector: string, tensors: DetectorTensors): void {
    const known = this.#scorers.get(detector);
    if (known !== undefined) {
      known.holders += 1;
      return;
    }
    const scorer = scorerOf(tensors);
    this.#scorers.set(detector, { scorer, holders: 1 });
    this.#post({ kind: "learn", detector, scorer });
  }

  retire(detector: string): void {
    const known = this.#scorers.get(detector);
    if (known === undefined) return;
    known.holders -= 1;
    if (known.holders > 0) return;
    this.#scorers.delete(detector);
    this.#post({ kind: "forget", detector });
  }

  /** Per sample whether the detector would have triggered; null when the run was dropped. Never rejects. */
  score({ detector, batch, reports, owned }: ScoreRequest): Promise<readonly boolean[] | null> {
    const arrays = reports.flatMap(({ features, values, visible }) => [features, values, visible]);
    const bytes = arrays.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const full = this.#jobs.size >= mostJobs || (this.#jobs.size > 0 && this.#bytes + bytes > mostBytes);
    if (this.#closed || full || !this.#scorers.has(detector)) return Promise.resolve(null);
    const job = this.#nextJob++;
    const moved = owned
      ? [...new Set(arrays.map(({ buffer }) => buffer))].filter((b) => b instanceof ArrayBuffer)
      : [];
    return new Promise((settle) => {
      this.#jobs.set(job, { bytes, settle });
      this.#bytes += bytes;
      this.#start();
      this.#post({ kind: "score", job, detector, batch, reports }, moved);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    this.#stopped(worker);
    await worker?.terminate();
  }

  #start(): void {
    if (this.#worker !== null) return;
    const worker = spawn(this.#model);
    this.#worker = worker;
    worker.unref();
    worker.on("message", ({ job, gates }: FromShadowWorker) => this.#settle(job, gates));
    worker.on("error", (error) => {
      this.#warn(`the scoring thread failed and is started anew: ${messageOf(error)}`);
      this.#stopped(worker);
    });
    for (const [detector, { scorer }] of this.#scorers) this.#post({ kind: "learn", detector, scorer });
  }

  #stopped(worker: Worker | null): void {
    if (this.#worker === worker) this.#worker = null;
    for (const job of this.#jobs.keys()) this.#settle(job, null);
  }

  #settle(id: number, gates: readonly boolean[] | null): void {
    const job = this.#jobs.get(id);
    if (job === undefined) return;
    this.#jobs.delete(id);
    this.#bytes -= job.bytes;
    job.settle(gates);
  }

  #post(message: ToShadowWorker, moved: readonly ArrayBuffer[] = []): void {
    this.#worker?.postMessage(message, moved);
  }
}

function spawn(model: Uint8Array): Worker {
  const fromSources = import.meta.url.endsWith(".ts");
  const file = fromSources ? "./shadow-worker.dev.mjs" : "./shadow-worker.js";
  return new Worker(new URL(file, import.meta.url), {
    name: "atpatch-shadow",
    workerData: model,
    resourceLimits: tensorThreadLimits,
    ...(fromSources && { execArgv: [] }),
  });
}
