import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

const run = promisify(execFile);
const model = new URL("../../models/gtsrb-vit/model.onnx", import.meta.url);
const cli = new URL("../cli/run.ts", import.meta.url);
const spawnWorker = new URL("./spawn-worker.ts", import.meta.url);

/** Files that a fresh process leaves in its home folder. */
async function traces(script: string): Promise<string[]> {
  const home = await mkdtemp(join(tmpdir(), "atpatch-home-"));
  try {
    const { CI: _ci, ORT_DISABLE_TELEMETRY: _set, ...environment } = process.env;
    await run(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
      env: { ...environment, HOME: home, XDG_CACHE_HOME: "" },
    });
    return await readdir(home, { recursive: true });
  } finally {
    await rm(home, { recursive: true });
  }
}

const path = JSON.stringify(model.pathname);
const create = `
  const { InferenceSession } = await import("onnxruntime-node");
  await InferenceSession.create(${path});
`;

describe("silenceRuntime", () => {
  it("is needed: left alone, the runtime writes an identifier and a cache of reports", async () => {
    expect(await traces(create)).not.toEqual([]);
  });

  it("holds for the main thread, where the command line calls it first", async () => {
    const script = `
      const { runCli } = await import(${JSON.stringify(cli.href)});
      await runCli(["--version"], { out() {}, err() {}, live: false, colour: false, columns: 80 });
      ${create}
    `;
    expect(await traces(script)).toEqual([]);
  });

  it("holds for the process from the first worker on", async () => {
    const script = `
      const { spawnWorker } = await import(${JSON.stringify(spawnWorker.href)});
      const worker = spawnWorker({});
      worker.on("error", () => {});
      await worker.terminate();
      ${create}
    `;
    expect(await traces(script)).toEqual([]);
  });
});
