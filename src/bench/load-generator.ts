/** Load on a server from a thread of its own; see load-generator.mjs. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";

/** What is sent, as `http.request` takes it. */
export interface LoadTarget {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly method: "GET" | "POST";
  readonly headers: Readonly<Record<string, string>>;
}

export interface LoadOrder {
  readonly target: LoadTarget;
  readonly body: Uint8Array;
  readonly seconds: number;
  /** Requests in flight at most. */
  readonly connections?: number;
  /** Requests a second, sent whatever comes back; without it every connection waits for its answer. */
  readonly rate?: number;
}

export interface LoadResult {
  /** From the first request to the last answer. */
  readonly seconds: number;
  /** Latencies in ms by outcome: an HTTP status, or the code of a connection's error. */
  readonly outcomes: Readonly<Record<string, readonly number[]>>;
}

export class LoadGenerator {
  readonly #worker = new Worker(new URL("load-generator.mjs", import.meta.url));

  async run(order: LoadOrder): Promise<LoadResult> {
    this.#worker.postMessage(order);
    const [result] = (await once(this.#worker, "message")) as [LoadResult];
    return result;
  }

  /** Ends a closed run before its time. */
  stop(): void {
    this.#worker.postMessage("stop");
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}
