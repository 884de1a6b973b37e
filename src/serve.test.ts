/** The server as people start it: a process on model folders, stopped by a signal. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { instrument } from "./hotfix/instrument.ts";
import { markDetector, tinyLabels, tinyModel, tinySample } from "./test/tiny-model.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const main = fileURLToPath(new URL("./main.ts", import.meta.url));
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "atpatch-serve-"));
  const bytes = tinyModel({ ballast: 50 });
  const { description } = instrument({ bytes, name: "model.onnx" });
  const files: Record<string, string | Uint8Array> = {
    "models/tiny/model.onnx": bytes,
    "models/tiny/atpatch.json": JSON.stringify({ task: "tensor", labels: tinyLabels }),
    "models/tiny/detectors/marks.safetensors": markDetector(description),
    "models/broken/model.onnx": "not a model",
  };
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(folder, name, ".."), { recursive: true });
    await writeFile(join(folder, name), content);
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Run {
  readonly process: ChildProcess;
  readonly output: { stdout: string; stderr: string };
  readonly exit: Promise<number | null>;
}

function start(args: string[], env: Record<string, string> = {}): Run {
  const child = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), main, ...args], {
    cwd: folder,
    env: { PATH: process.env["PATH"], ...env },
  });
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => (output.stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (output.stderr += chunk.toString()));
  return {
    process: child,
    output,
    exit: new Promise((resolve) => child.once("exit", (code) => resolve(code))),
  };
}

async function listening({ output, process: child }: Run): Promise<string> {
  for (;;) {
    const url = /at (http:\S+)\n/.exec(output.stdout)?.[1];
    if (url !== undefined) return url;
    if (child.exitCode !== null) throw new Error(output.stderr);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe("the server process", () => {
  it("serves what it can load with the shipped detector, drains at SIGTERM and exits with 0", async () => {
    const run = start(["--port", "0", "--grpc-port", "0"], { ATPATCH_STATE: join(folder, "state") });
    const url = await listening(run);
    expect(run.output.stdout).toMatch(
      /tiny {2}tensor, 1 attention sites, detector sha256-\w{12}…, policy enforce, 1 × \d+ threads, default/,
    );
    expect(run.output.stdout).toMatch(/gRPC {9}127\.0\.0\.1:\d+\n/);
    const token = /Admin token {2}(\S+) /.exec(run.output.stdout)![1]!;
    expect(run.output.stderr).toContain('"model":"broken"');
    expect(run.output.stderr).not.toContain(token);

    const predict = () =>
      fetch(`${url}/predict`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ instances: [tinySample({ 3: 8 })] }),
      });
    const answer = (await (await predict()).json()) as { predictions: object[] };
    expect(answer.predictions[0]).toMatchObject({ label: "odd", atpatch: { triggered: true } });
    const admin = await fetch(`${url}/admin/models/tiny/history`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(await admin.json()).toMatchObject({ entries: [{ actor: "shipped" }, { actor: "shipped" }] });
    expect((await fetch(`${url}/docs/static/index.html`)).status).toBe(200);

    const accepted = predict();
    await new Promise((resolve) => setTimeout(resolve, 50));
    run.process.kill("SIGTERM");
    expect((await accepted).status).toBe(200);
    expect(await run.exit).toBe(0);
  });

  it("says everything that is wrong with the settings and does not start", async () => {
    const run = start(["--port", "x"], { ATPATCH_HOST: "0.0.0.0", ATPATCH_QUEUE: "-1" });
    expect(await run.exit).toBe(1);
    expect(run.output.stderr.trim().split("\n")).toHaveLength(4);
    for (const name of ["--port", "ATPATCH_QUEUE", "ATPATCH_HOST"]) expect(run.output.stderr).toContain(name);
  });
});
