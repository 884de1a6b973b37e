/**
 * `npm run crash -- --kills 200`: kills processes with signal 9 at random moments while they change detectors and policy, and
 * checks after each kill that the store is readable, that nothing acknowledged is lost and that the history verifies.
 */
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { readModelFile } from "../tasks/model-file.ts";
import { instrument } from "../hotfix/instrument.ts";
import { verifyLog } from "../detector/verify-log.ts";
import { buildCrashChild, crash } from "../test/crash.ts";
import { markDetector, tinyModel } from "../test/tiny-model.ts";

const options = new Command("crash")
  .description("Kill processes in the middle of their changes and look at what they left.")
  .option("--kills <n>", "processes that change detectors as fast as they can", Number, 200)
  .option("--server-kills <n>", "whole servers, driven over HTTP", Number, 8)
  .option("--port <n>", "port of the servers", Number, 18_097)
  .parse()
  .opts<{ kills: number; serverKills: number; port: number }>();

const folder = await mkdtemp(join(tmpdir(), "atpatch-crash-"));
try {
  const began = performance.now();
  const child = await buildCrashChild(folder);
  const lean = await crash(child, join(folder, "lean"), options.kills, Math.random);
  const whole = await crashServers();
  const seconds = Math.round((performance.now() - began) / 1000);
  console.log(JSON.stringify({ seconds, registry: lean, server: whole }, null, 1));
  process.exitCode = lean.faults.length + whole.faults.length === 0 ? 0 : 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}

/** The whole server on the tiny model: killed under activations, started again, asked what is active. */
async function crashServers() {
  const models = join(folder, "models");
  const state = join(folder, "state");
  await mkdir(join(models, "tiny"), { recursive: true });
  await writeFile(join(models, "tiny", "model.onnx"), tinyModel());
  await writeFile(
    join(models, "tiny", "atpatch.json"),
    JSON.stringify({ task: "tensor", labels: ["calm", "wild", "odd"] }),
  );
  const file = join(models, "tiny", "model.onnx");
  const { description } = instrument(await readModelFile(file));
  const report = { kills: 0, acknowledged: 0, entries: 0, faults: [] as string[] };
  let last: { revision: number; active: string | null } | null = null;
  for (let round = 0; round < options.serverKills; round++) {
    const server = spawn(process.execPath, ["dist/main.js"], {
      stdio: ["ignore", "ignore", "inherit"],
      env: {
        ...process.env,
        ATPATCH_PORT: String(options.port),
        ATPATCH_GRPC_PORT: "0",
        ATPATCH_MODELS: models,
        ATPATCH_STATE: state,
        ATPATCH_ADMIN_TOKEN: "crash",
        ATPATCH_LOG_LEVEL: "warn",
      },
    });
    const gone = new Promise((resolve) => server.once("exit", resolve));
    const found = await started();
    if (last !== null && found.revision < last.revision)
      report.faults.push(`round ${round}: revision ${found.revision} after ${last.revision}`);
    if (last !== null && found.revision === last.revision && found.active !== last.active)
      report.faults.push(`round ${round}: another detector is active`);
    const ids: string[] = [];
    for (const threshold of [5, 6])
      ids.push(
        (await call("POST", "/detectors", markDetector(description, { threshold: threshold + round })))
          .id as string,
      );
    const killing = sleep(20 + Math.random() * 300).then(() => server.kill("SIGKILL"));
    for (let change = 0; ; change++) {
      const body = { detector: ids[change % 2], reason: `round ${round}` };
      const answer = await call("PUT", "/active", body).catch(() => null);
      if (answer === null) break;
      last = answer as { revision: number; active: string | null };
      report.acknowledged++;
    }
    await Promise.all([killing, gone]);
    report.kills++;
    try {
      report.entries = verifyLog(await readFile(join(state, "tiny", "control.jsonl"))).entries;
    } catch (error) {
      report.faults.push(`round ${round}: ${String(error)}`);
    }
  }
  return report;
}

async function started(): Promise<{ revision: number; active: string | null }> {
  for (let attempt = 0; attempt < 300; attempt++) {
    const state = await call("GET", "").catch(() => null);
    if (state !== null) return state as { revision: number; active: string | null };
    await sleep(100);
  }
  throw new Error("the server did not start within 30 s");
}

async function call(
  method: string,
  path: string,
  body?: object | Uint8Array,
): Promise<Record<string, unknown>> {
  const bytes = body instanceof Uint8Array;
  const response = await fetch(`http://127.0.0.1:${options.port}/admin/models/tiny${path}`, {
    method,
    headers: {
      authorization: "Bearer crash",
      ...(body !== undefined && { "content-type": bytes ? "application/octet-stream" : "application/json" }),
    },
    ...(body !== undefined && { body: bytes ? new Uint8Array(body) : JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as Record<string, unknown>;
}
