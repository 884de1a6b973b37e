/** The bare runtime in a worker thread of its own, as the engine has it. */
import { Worker } from "node:worker_threads";
import type { BareRequest, BareStart } from "./bare-worker.ts";

export interface Bare {
  /** One at a time. */
  run(request: BareRequest): Promise<void>;
  close(): Promise<void>;
}

/** @throws what the runtime throws when it cannot load the model */
export async function startBare(start: BareStart): Promise<Bare> {
  const fromSources = import.meta.url.endsWith(".ts");
  const entry = new URL(fromSources ? "./bare-worker.dev.mjs" : "./bare-worker.js", import.meta.url);
  const worker = new Worker(entry, { workerData: start, ...(fromSources && { execArgv: [] }) });
  // One run at a time, so one waiting promise is enough.
  let settle: { resolve(): void; reject(error: unknown): void } | undefined;
  worker.on("message", () => settle?.resolve());
  worker.on("error", (error) => settle?.reject(error));
  const answer = (): Promise<void> => new Promise((resolve, reject) => (settle = { resolve, reject }));
  await answer();
  return {
    async run(request) {
      const done = answer();
      worker.postMessage(request);
      await done;
    },
    async close() {
      await worker.terminate();
    },
  };
}
