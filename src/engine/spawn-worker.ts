/** Starts a worker thread, from the built files or from the sources. */
import { Worker } from "node:worker_threads";
import { tensorThreadLimits } from "../shared/thread-memory.ts";
import type { WorkerStart } from "./protocol.ts";
import { silenceRuntime } from "./runtime-telemetry.ts";

export type SpawnWorker = (start: WorkerStart) => Worker;

export const spawnWorker: SpawnWorker = (start) => {
  silenceRuntime();
  const fromSources = import.meta.url.endsWith(".ts");
  return new Worker(new URL(fromSources ? "./worker.dev.mjs" : "./worker.js", import.meta.url), {
    workerData: start,
    name: "atpatch-engine",
    resourceLimits: tensorThreadLimits,
    // The loader flags of a development process do not work in a thread; worker.dev.mjs brings its own.
    ...(fromSources && { execArgv: [] }),
  });
};
