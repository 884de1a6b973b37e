/** Engines over the toy models for tests: what they report, their threads, and how their runs end. */
import type { Worker } from "node:worker_threads";
import type { EngineObserver, InferenceEngine, RunRequest, RunResult } from "../engine/engine.ts";
import { createOrtEngine, type OrtEngineOptions } from "../engine/ort-engine.ts";
import { spawnWorker } from "../engine/spawn-worker.ts";
import { float32 } from "../shared/tensor.ts";
import { toyDetector, toySlowModel } from "./engine-models.ts";

export class EngineHarness {
  /** What the engines reported, in words, since the last {@link forget}. */
  events: string[] = [];
  /** Worker threads in the order they were started, since the last {@link close}. */
  threads: Worker[] = [];
  readonly #open: InferenceEngine[] = [];
  readonly #observer: EngineObserver = {
    queueDepth: (depth) => this.events.push(`depth ${depth}`),
    rejected: (reason) => this.events.push(`rejected ${reason}`),
    workerRestarted: (why) => this.events.push(`restarted: ${why}`),
    batch: (samples) => this.events.push(`batch ${samples}`),
  };

  /** An engine with one worker on the slow model, unless `options` say otherwise. */
  async start(options: Partial<OrtEngineOptions> = {}): Promise<InferenceEngine> {
    const { spawn = spawnWorker } = options;
    const engine = await createOrtEngine({
      patched: toySlowModel(),
      folder: ".",
      neutral: toyDetector(),
      workers: 1,
      threads: 1,
      queue: 8,
      observer: this.#observer,
      ...options,
      spawn: (settings) => {
        const thread = spawn(settings);
        this.threads.push(thread);
        return thread;
      },
    });
    this.#open.push(engine);
    return engine;
  }

  /** Number of events that begin with these words. */
  count(words: string): number {
    return this.events.filter((event) => event.startsWith(words)).length;
  }

  forget(): void {
    this.events = [];
  }

  async close(): Promise<void> {
    await Promise.all(this.#open.splice(0).map((engine) => engine.close()));
    this.threads = [];
  }
}

/** A run of one sample that takes about `rounds` × 0.4 ms on the slow model, and returns what it was given. */
export const run = (rounds: number, rest: Partial<RunRequest> = {}): RunRequest => ({
  inputs: { x: float32([1, 1], [rounds]) },
  batch: 1,
  modes: new Int32Array(1),
  detector: null,
  ...rest,
});

/** Rounds that take about `ms` on this machine now. */
export async function roundsFor(engine: InferenceEngine, ms: number): Promise<number> {
  await engine.run(run(1));
  const { inferMs } = await engine.run(run(50));
  return Math.max(1, Math.round((ms / inferMs) * 50));
}

/** How a run ended: its answer, or the code of its error. */
export const ending = (result: Promise<RunResult>): Promise<unknown> =>
  result.then(
    ({ outputs }) => outputs["y"]!.data[0],
    (error: Error & { code?: string }) => error.code ?? `no code: ${error.message}`,
  );

/** An uncaught error in the thread, once it has done what it was sent before. */
export const crash = (thread: Worker): void => thread.postMessage({ kind: "nonsense" });
