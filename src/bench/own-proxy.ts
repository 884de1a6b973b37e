/** A proxy of a script's own, in a process of its own, with the calls that scripts make. */
import { once } from "node:events";
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";

const token = "bench";

/** What a prediction was answered with. */
export interface Answer {
  readonly status: number;
  /** Detector that the body names. */
  readonly named: string | null | undefined;
  /** Detector that the header names; "none" for null. */
  readonly header: string | null;
  readonly error: string | undefined;
}

/** The state of a model, as far as scripts look at it. */
export interface State {
  readonly active: string | null;
  readonly shadow: { readonly samples: number; readonly dropped: number } | null;
}

export class OwnProxy {
  readonly model: string;
  readonly #origin: string;
  readonly #child: ChildProcess;
  readonly #state: string;

  private constructor(model: string, origin: string, child: ChildProcess, state: string) {
    this.model = model;
    this.#origin = origin;
    this.#child = child;
    this.#state = state;
  }

  /** Starts the built server with a state folder of its own. @throws Error unless it is ready within 60 s */
  static async start(
    models: string,
    model: string,
    port: number,
    settings: Readonly<Record<string, string>> = {},
  ): Promise<OwnProxy> {
    const state = await mkdtemp(join(tmpdir(), "atpatch-bench-"));
    const child = spawn(process.execPath, ["dist/main.js"], {
      stdio: ["ignore", "ignore", "inherit"],
      env: {
        ...process.env,
        ATPATCH_HOST: "127.0.0.1",
        ATPATCH_PORT: String(port),
        ATPATCH_GRPC_PORT: "off",
        ATPATCH_MODELS: join(models, model),
        ATPATCH_STATE: state,
        ATPATCH_ADMIN_TOKEN: token,
        ATPATCH_LOG_LEVEL: "warn",
        ...settings,
      },
    });
    const proxy = new OwnProxy(model, `http://127.0.0.1:${port}`, child, state);
    for (let attempt = 0; attempt < 600; attempt++) {
      if (await proxy.#isReady()) return proxy;
      if (child.exitCode !== null) break;
      await sleep(100);
    }
    await proxy.stop();
    throw new Error("the server did not become ready within 60 s");
  }

  /** Sends SIGTERM and waits. @returns exit code, and how long it took in ms */
  async terminate(): Promise<{ code: number | null; ms: number }> {
    const began = performance.now();
    const stopped = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    await stopped;
    return { code: this.#child.exitCode, ms: performance.now() - began };
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null) await this.terminate();
    await rm(this.#state, { recursive: true, force: true });
  }

  async predict(body: string): Promise<Answer> {
    const response = await fetch(`${this.#origin}/v1/models/${this.model}:predict`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    const answer = (await response.json()) as { error?: string; atpatch?: { detector: string | null } };
    const header = response.headers.get("x-atpatch-detector");
    return { status: response.status, named: answer.atpatch?.detector, header, error: answer.error };
  }

  /** @returns the id @throws Error with the server's reason */
  async upload(bundle: Uint8Array): Promise<string> {
    return ((await this.#admin("POST", "/detectors", Uint8Array.from(bundle))) as { id: string }).id;
  }

  /** @throws Error unless the answer is 200 */
  async activate(detector: string, reason: string): Promise<void> {
    await this.#admin("PUT", "/active", { detector, reason });
  }

  /** Somebody who activates detectors on an event loop of its own, `end` when done. */
  operator(): Operator {
    return new Operator(`${this.#origin}/admin/models/${this.model}/active`);
  }

  async setPolicy(policy: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#admin("PUT", "/policy", policy);
  }

  async state(): Promise<State> {
    return (await this.#admin("GET", "")) as State;
  }

  /** Resident memory of the server in MiB. */
  async residentMiB(): Promise<number> {
    const status = await readFile(`/proc/${this.#child.pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? NaN) / 1024;
  }

  /** Value of a metric without labels. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.#origin}/metrics`)).text();
    return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1] ?? NaN);
  }

  async #isReady(): Promise<boolean> {
    return fetch(`${this.#origin}/v2/health/ready`).then(
      (response) => response.ok,
      () => false,
    );
  }

  async #admin(
    method: string,
    path: string,
    body?: Uint8Array<ArrayBuffer> | Readonly<Record<string, unknown>>,
  ): Promise<unknown> {
    const isBytes = body instanceof Uint8Array;
    const response = await fetch(`${this.#origin}/admin/models/${this.model}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body !== undefined && {
          "content-type": isBytes ? "application/octet-stream" : "application/json",
        }),
      },
      ...(body !== undefined && { body: isBytes ? body : JSON.stringify(body) }),
    });
    const answer: unknown = await response.json();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${JSON.stringify(answer)}`);
    return answer;
  }
}

/** One activation, in ms of the caller's `performance.now()`. */
export interface Activation {
  readonly called: number;
  readonly answered: number;
}

/** See {@link OwnProxy.operator}. */
export class Operator {
  readonly #worker: Worker;

  constructor(url: string) {
    this.#worker = new Worker(new URL("operator.mjs", import.meta.url), { workerData: { url, token } });
  }

  /** @throws Error unless the answer is 200 */
  async activate(detector: string, reason: string): Promise<Activation> {
    this.#worker.postMessage({ detector, reason });
    const [{ called, answered, error }] = (await once(this.#worker, "message")) as [
      Activation & { readonly error: string | null },
    ];
    if (error !== null) throw new Error(`activation: ${error}`);
    return { called: called - performance.timeOrigin, answered: answered - performance.timeOrigin };
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}
