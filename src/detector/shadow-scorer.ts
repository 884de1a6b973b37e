/**
 * Scores detectors on features of finished runs in a thread of its own. Runs are gathered for a moment and scored together,
 * which costs the cores a fraction of scoring each; what the thread cannot keep up with is dropped, not queued.
 */
import { Worker } from "node:worker_threads";
import { messageOf } from "../shared/errors.ts";
import { tensorThreadLimits } from "../shared/thread-memory.ts";
import type { DetectorTensors } from "../shared/detector-tensors.ts";
import { mapReport, reportArrays, type SiteReport } from "../shared/site-report.ts";
import { joinArrays } from "../shared/tensor.ts";
import { scorerOf, type Scorer } from "./score.ts";
import type { FromShadowWorker, ToShadowWorker } from "./shadow-protocol.ts";

export interface ScoreRequest {
  readonly detector: string;
  /** Number of samples B. */
  readonly batch: number;
  readonly reports: readonly SiteReport[];
}

/** A run that waits to be scored. */
interface Waiting extends ScoreRequest {
  /** With the part of the answer that is the run's; null when it was dropped. */
  readonly settle: (gates: readonly boolean[] | null) => void;
}

/** Runs that are scored together: of one detector, with reports of equal shapes. */
interface Group {
  readonly runs: Waiting[];
  samples: number;
  bytes: number;
}

/** Most bytes of features on their way; one run that has more is let through when it is alone. */
const mostBytes = 32 * 2 ** 20;
/** Most samples on their way, and those that leave together. */
const mostSamples = 256;
const together = 32;
/** How long a run waits for others. */
const gatherMs = 250;

export class ShadowScorer {
  readonly #model: Uint8Array;
  readonly #warn: (message: string) => void;
  /** Detectors with the number of models that published them. */
  readonly #scorers = new Map<string, { readonly scorer: Scorer; holders: number }>();
  /** Runs that are being gathered, by what they have in common. */
  readonly #gathered = new Map<string, Group>();
  #timer: NodeJS.Timeout | null = null;
  /** Groups in the thread. */
  readonly #jobs = new Map<number, Group>();
  #bytes = 0;
  #samples = 0;
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
  score(request: ScoreRequest): Promise<readonly boolean[] | null> {
    const bytes = request.reports.flatMap(reportArrays).reduce((sum, { byteLength }) => sum + byteLength, 0);
    const room = this.#samples + request.batch <= mostSamples && this.#bytes + bytes <= mostBytes;
    if (this.#closed || !(room || this.#samples === 0) || !this.#scorers.has(request.detector)) {
      return Promise.resolve(null);
    }
    this.#samples += request.batch;
    this.#bytes += bytes;
    return new Promise((settle) => this.#gather({ ...request, settle }, bytes));
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const group of this.#gathered.values()) this.#settle(group, null);
    this.#gathered.clear();
    const worker = this.#worker;
    this.#stopped(worker);
    await worker?.terminate();
  }

  #gather(run: Waiting, bytes: number): void {
    const key = groupKey(run);
    const group = this.#gathered.get(key) ?? { runs: [], samples: 0, bytes: 0 };
    this.#gathered.set(key, group);
    group.runs.push(run);
    group.samples += run.batch;
    group.bytes += bytes;
    if (group.samples >= together) return this.#send(key, group);
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      for (const each of this.#gathered) this.#send(...each);
    }, gatherMs).unref();
  }

  #send(key: string, group: Group): void {
    this.#gathered.delete(key);
    const { detector } = group.runs[0]!;
    const reports = joinReports(group.runs);
    const job = this.#nextJob++;
    this.#jobs.set(job, group);
    this.#start();
    this.#post(
      { kind: "score", job, detector, batch: group.samples, reports },
      reports.flatMap(reportArrays).map(({ buffer }) => buffer as ArrayBuffer),
    );
  }

  #start(): void {
    if (this.#worker !== null) return;
    const worker = spawn(this.#model);
    this.#worker = worker;
    worker.unref();
    worker.on("message", ({ job, gates }: FromShadowWorker) => this.#finish(job, gates));
    worker.on("error", (error) => {
      this.#warn(`the scoring thread failed and is started anew: ${messageOf(error)}`);
      this.#stopped(worker);
    });
    for (const [detector, { scorer }] of this.#scorers) this.#post({ kind: "learn", detector, scorer });
  }

  #stopped(worker: Worker | null): void {
    if (this.#worker === worker) this.#worker = null;
    for (const job of this.#jobs.keys()) this.#finish(job, null);
  }

  #finish(job: number, gates: readonly boolean[] | null): void {
    const group = this.#jobs.get(job);
    if (group === undefined) return;
    this.#jobs.delete(job);
    this.#settle(group, gates);
  }

  #settle(group: Group, gates: readonly boolean[] | null): void {
    this.#samples -= group.samples;
    this.#bytes -= group.bytes;
    let from = 0;
    for (const { batch, settle } of group.runs) settle(gates && gates.slice(from, (from += batch)));
  }

  #post(message: ToShadowWorker, moved: readonly ArrayBuffer[] = []): void {
    this.#worker?.postMessage(message, moved);
  }
}

/** Equal for runs whose reports can be joined. */
function groupKey({ detector, reports }: ScoreRequest): string {
  const shapes = reports.map(({ site, keys, windows, width, largest }) => [
    site,
    keys,
    windows,
    width,
    largest !== undefined,
  ]);
  return JSON.stringify([detector, shapes]);
}

/** The reports of all runs as those of one, on memory of their own. */
function joinReports(runs: readonly ScoreRequest[]): SiteReport[] {
  return runs[0]!.reports.map((first, s) =>
    mapReport(first, (_, name) => joinArrays(runs.map(({ reports }) => reports[s]![name]!))),
  );
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
