/** A server of the check's own, on copies of three models, with the requests that an incident is made of. */
import { spawn, type ChildProcess } from "node:child_process";
import { createReadStream } from "node:fs";
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeBundle, parseBundle } from "../detector/bundle.ts";
import { float32 } from "../shared/tensor.ts";
import { median } from "./statistics.ts";
import { readDebugSet, type DebugSample } from "../training/debug-set.ts";

const model = "gtsrb-vit";
const shipped = `models/${model}/detectors/checker-stamp.safetensors`;

/** The shipped detector with thresholds that nothing reaches. */
export async function failingBundle(): Promise<Uint8Array<ArrayBuffer>> {
  const { metadata, tensors } = parseBundle(await readFile(shipped));
  const out = 1000;
  const thresholds = (tensors.thresholds.data as Float32Array).map((value) => value + out);
  const bundle = encodeBundle(
    {
      ...metadata,
      thresholds: metadata.thresholds.map((own) => ({
        ...own,
        gate: own.gate + out,
        column: own.column + out,
      })),
    },
    { ...tensors, thresholds: float32(tensors.thresholds.shape, thresholds) },
  );
  return Uint8Array.from(bundle);
}

/** A request that was answered wrongly. */
export interface Failed {
  readonly id: string;
  readonly label: number;
}

export class ConsoleServer {
  readonly token = "console-check";
  readonly url: string;
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #samples: readonly DebugSample[];
  #sent = 0;

  private constructor(url: string, process: ChildProcess, folder: string, samples: readonly DebugSample[]) {
    this.url = url;
    this.#process = process;
    this.#folder = folder;
    this.#samples = samples;
  }

  static async start(port: number): Promise<ConsoleServer> {
    const folder = await mkdtemp(join(tmpdir(), "atpatch-console-"));
    for (const name of [model, "sst2-bert", "adult-ft"]) {
      // Without its detector the backdoored model is as it was found.
      const filter = (path: string): boolean => name !== model || !path.endsWith("detectors");
      await cp(`models/${name}`, join(folder, "models", name), { recursive: true, filter });
    }
    const child = spawn(process.execPath, ["dist/main.js"], {
      stdio: ["ignore", "ignore", "inherit"],
      env: {
        ...process.env,
        ATPATCH_PORT: String(port),
        ATPATCH_GRPC_PORT: "off",
        ATPATCH_MODELS: join(folder, "models"),
        ATPATCH_STATE: join(folder, "state"),
        ATPATCH_DEFAULT_MODEL: model,
        ATPATCH_ADMIN_TOKEN: "console-check",
        ATPATCH_RECORD: "inputs",
        ATPATCH_LOG_LEVEL: "warn",
      },
    });
    const samples = await readDebugSet(createReadStream(`models/${model}/test.jsonl.gz`));
    const server = new ConsoleServer(`http://127.0.0.1:${port}`, child, folder, samples);
    await server.#untilReady();
    return server;
  }

  async stop(): Promise<void> {
    const stopped = new Promise((resolve) => this.#process.once("exit", resolve));
    if (this.#process.exitCode === null) {
      this.#process.kill("SIGTERM");
      await stopped;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }

  async upload(bundle: Uint8Array<ArrayBuffer>): Promise<string> {
    const answer = await this.#call(
      "POST",
      `admin/models/${model}/detectors`,
      bundle,
      "application/octet-stream",
    );
    return (answer as { id: string }).id;
  }

  /** Sends new samples of each kind, mixed. @returns the failing ones that were answered wrongly */
  async send(clean: number, failing: number): Promise<Failed[]> {
    const take = (set: string, count: number): DebugSample[] => {
      const all = this.#samples.filter((sample) => sample.set === set);
      return Array.from({ length: count }, (_, i) => all[(this.#sent + i) % all.length]!);
    };
    const samples = [...take("clean", clean), ...take("failing", failing)];
    this.#sent += Math.max(clean, failing);
    const failed: Failed[] = [];
    for (const [i, { label, set, instance }] of samples.entries()) {
      const id = `check-${this.#sent}-${i}`;
      const answer = await this.#call(
        "POST",
        `v1/models/${model}:predict`,
        { instances: [instance] },
        undefined,
        id,
      );
      const [prediction] = (answer as { predictions: { index: number }[] }).predictions;
      if (set === "failing" && prediction!.index !== label) failed.push({ id, label });
    }
    return failed;
  }

  /** Median milliseconds of clean requests, one after the other. */
  async latency(requests: number): Promise<number> {
    const times: number[] = [];
    for (let i = 0; i < requests; i += 1) {
      const start = performance.now();
      await this.send(1, 0);
      times.push(performance.now() - start);
    }
    return median(times);
  }

  async mark(failed: readonly Failed[]): Promise<void> {
    for (const { id, label } of failed)
      await this.#call("POST", `admin/models/${model}/feedback`, { request_id: id, label });
  }

  async repairStage(): Promise<string> {
    return (await this.#repair())?.progress.stage ?? "starting";
  }

  /** The detector of the newest repair, or null while it runs. @throws Error when it has failed */
  async repaired(): Promise<string | null> {
    const job = await this.#repair();
    if (job?.error) throw new Error(`the repair failed: ${job.error.error}`);
    return job?.detector ?? null;
  }

  /** Samples that the shadow has scored. */
  async shadowed(): Promise<number> {
    const state = await this.#call("GET", `admin/models/${model}`);
    return (state as { shadow: { samples: number } | null }).shadow?.samples ?? 0;
  }

  async #repair() {
    type Job = { progress: { stage: string }; detector: string | null; error: { error: string } | null };
    const { repairs } = (await this.#call("GET", `admin/models/${model}/repairs`)) as { repairs: Job[] };
    return repairs[0];
  }

  async #call(
    method: string,
    path: string,
    body?: object,
    type = "application/json",
    id?: string,
  ): Promise<unknown> {
    const response = await fetch(new URL(path, this.url), {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body && { "content-type": type }),
        ...(id && { "x-request-id": id }),
      },
      ...(body && {
        body: body instanceof Uint8Array ? (body as Uint8Array<ArrayBuffer>) : JSON.stringify(body),
      }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  async #untilReady(): Promise<void> {
    for (let attempt = 0; attempt < 1200; attempt += 1) {
      const ready = await fetch(`${this.url}/v2/health/ready`).then(
        (response) => response.ok,
        () => false,
      );
      if (ready) return;
      if (this.#process.exitCode !== null) throw new Error("the server has stopped");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error("the server did not become ready within two minutes");
  }
}
