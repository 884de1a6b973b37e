/** The engine's end of one worker thread: typed calls instead of messages, and one place that learns of its death. */
import type { Worker } from "node:worker_threads";
import { AtPatchError, messageOf } from "../shared/errors.ts";
import type { Frame } from "./frame.ts";
import type { DetectorKey, FromWorker, RunMessage, RunOutcome, ToWorker } from "./protocol.ts";
import { frameTransfers } from "./transfer.ts";

/** How long a worker gets to end by itself before its thread is terminated. */
const stopMs = 5000;

/** Why a thread ended. */
export interface Death {
  /** In words fit for a caller. */
  readonly reason: string;
  /** For the log: the uncaught error's own words, which may name paths. */
  readonly detail: string;
}

/** The thread ended under a run, or before it began. */
export class WorkerDied extends Error {
  override readonly name = "WorkerDied";
  /** Whether the worker was in this run. */
  readonly begun: boolean;

  constructor(reason: string | undefined, begun: boolean) {
    super(reason);
    this.begun = begun;
  }
}

interface Call<T> {
  resolve(value: T): void;
  reject(error: Error): void;
}

export class WorkerHandle {
  readonly #worker: Worker;
  /** Output names of the session. @throws AtPatchError ATPATCH_BAD_MODEL, WorkerDied */
  readonly started: Promise<readonly string[]>;
  /** Resolves when the thread has ended for whatever reason. */
  readonly ended: Promise<Death>;
  #start: Call<readonly string[]> | undefined;
  /** Runs in the order in which the worker takes them; it is in the first one. */
  readonly #runs: (Call<RunOutcome> & { readonly begun: () => void })[] = [];
  readonly #acknowledgements: (() => void)[] = [];
  #death: Death | undefined;
  #alive = true;
  #stopped: Promise<void> | undefined;

  constructor(worker: Worker) {
    this.#worker = worker;
    this.started = new Promise((resolve, reject) => (this.#start = { resolve, reject }));
    // Whoever waits for `started` sees the failure; without a waiter it must not end the process.
    this.started.catch(() => {});
    worker.on("message", (message: FromWorker) => this.#receive(message));
    worker.on("error", (error) => (this.#death = { reason: "an uncaught error", detail: messageOf(error) }));
    this.ended = new Promise((resolve) => {
      worker.on("exit", (code) => {
        const reason = `exit code ${code}`;
        const death = (this.#death ??= { reason, detail: reason });
        this.#end(death);
        resolve(death);
      });
    });
  }

  /**
   * Hands a detector over. Messages keep their order, so every run that is handed over later finds it: nobody has to
   * wait for the run that the worker may be in.
   */
  publish(detector: DetectorKey, tensors: Frame): void {
    if (this.#alive) this.#post({ kind: "publish", detector, tensors });
  }

  /** Frees a detector; resolves when the worker has done it, or has ended. */
  retire(detector: DetectorKey): Promise<void> {
    return this.#acknowledged({ kind: "retire", detector });
  }

  /**
   * One run, after those handed over before. The feeds of the message are handed over and must not be used afterwards.
   * @param begun told when the worker comes to it
   * @throws WorkerDied, AtPatchError as the session throws it
   */
  run(message: RunMessage, begun: () => void = () => {}): Promise<RunOutcome> {
    return new Promise((resolve, reject) => {
      if (!this.#alive) return reject(new WorkerDied(this.#death?.reason, false));
      this.#runs.push({ resolve, reject, begun });
      if (this.#runs.length === 1) begun();
      this.#post(message, frameTransfers(message.feeds));
    });
  }

  /** Lets the worker end after what it is doing; resolves when the thread is gone. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    if (this.#alive) this.#post({ kind: "stop" });
    const timer = setTimeout(() => void this.#worker.terminate(), stopMs);
    await this.ended;
    clearTimeout(timer);
  }

  #post(message: ToWorker, transfers: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfers);
  }

  #acknowledged(message: ToWorker): Promise<void> {
    return new Promise((resolve) => {
      if (!this.#alive) return resolve();
      this.#acknowledgements.push(resolve);
      this.#post(message);
    });
  }

  #receive(message: FromWorker): void {
    switch (message.kind) {
      case "ready":
        return this.#start?.resolve(message.outputs);
      case "unusable":
        this.#death = { reason: message.message, detail: message.message };
        return this.#start?.reject(new AtPatchError("ATPATCH_BAD_MODEL", message.message));
      case "acknowledged":
        return this.#acknowledgements.shift()?.();
      case "done":
        return this.#takeRun()?.resolve(message.outcome);
      case "failed":
        return this.#takeRun()?.reject(new AtPatchError(message.code, message.message));
    }
  }

  /** The run that has ended; the next one begins. */
  #takeRun(): Call<RunOutcome> | undefined {
    const run = this.#runs.shift();
    this.#runs[0]?.begun();
    return run;
  }

  #end({ reason }: Death): void {
    this.#alive = false;
    this.#start?.reject(new WorkerDied(reason, false));
    this.#runs.splice(0).forEach((run, at) => run.reject(new WorkerDied(reason, at === 0)));
    for (const acknowledge of this.#acknowledgements.splice(0)) acknowledge();
  }
}
