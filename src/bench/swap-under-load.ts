/**
 * `npm run swaps`: swaps detectors while requests run and checks the promise: no request fails, every answer names a
 * detector that was active during it, and a request that starts after the 200 of a swap uses the new one.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { encodeBundle, parseBundle } from "../detector/bundle.ts";
import { float32 } from "../shared/tensor.ts";
import { median, quantile } from "./statistics.ts";

const options = new Command("swaps")
  .description("Swap detectors under load against a server of its own.")
  .option("--swaps <n>", "number of swaps", Number, 200)
  .option("--connections <n>", "requests in flight", Number, 8)
  .option("--models <dir>", "folder of models; the first one with a shipped bundle is used", "models")
  .option("--model <name>", "model to swap on", "gtsrb-vit")
  .option(
    "--bundle <file>",
    "bundle to swap with a variant of itself",
    "models/gtsrb-vit/detectors/checker-stamp.safetensors",
  )
  .option("--image <file>", "picture to send", "models/gtsrb-vit/samples/stop-stamped.png")
  .option("--port <n>", "port of the server", Number, 18099)
  .parse()
  .opts<{
    swaps: number;
    connections: number;
    models: string;
    model: string;
    bundle: string;
    image: string;
    port: number;
  }>();

const token = "swap-under-load";
const origin = `http://127.0.0.1:${options.port}`;
const state = mkdtempSync(join(tmpdir(), "atpatch-swaps-"));
const server = spawn(process.execPath, ["dist/main.js"], {
  stdio: ["ignore", "ignore", "inherit"],
  env: {
    ...process.env,
    ATPATCH_PORT: String(options.port),
    ATPATCH_MODELS: options.models,
    ATPATCH_STATE: state,
    ATPATCH_ADMIN_TOKEN: token,
    ATPATCH_LOG_LEVEL: "warn",
  },
});
try {
  await untilReady();
  process.exitCode = (await swapUnderLoad()) ? 0 : 1;
} finally {
  const stopped = new Promise((resolve) => server.once("exit", resolve));
  server.kill("SIGTERM");
  await stopped;
  rmSync(state, { recursive: true, force: true });
}

async function untilReady(): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt++) {
    const ready = await fetch(`${origin}/v2/health/ready`).then(
      (response) => response.ok,
      () => false,
    );
    if (ready) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("the server did not become ready within 30 s");
}

async function admin(
  method: string,
  path: string,
  body?: string | Uint8Array<ArrayBuffer>,
  type = "application/json",
): Promise<Response> {
  return fetch(`${origin}/admin/models/${options.model}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body !== undefined && { "content-type": type }) },
    ...(body !== undefined && { body }),
  });
}

async function upload(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const response = await admin("POST", "/detectors", bytes, "application/octet-stream");
  const answer = (await response.json()) as { id?: string; error?: string };
  if (answer.id === undefined) throw new Error(`upload failed: ${answer.error}`);
  return answer.id;
}

async function swapUnderLoad(): Promise<boolean> {
  const shipped = parseBundle(Uint8Array.from(readFileSync(options.bundle)));
  const thresholds = (shipped.tensors.thresholds.data as Float32Array).map((x) => x + 0.01);
  const variant = encodeBundle(
    {
      ...shipped.metadata,
      thresholds: shipped.metadata.thresholds.map((t) => ({
        ...t,
        gate: t.gate + 0.01,
        column: t.column + 0.01,
      })),
    },
    { ...shipped.tensors, thresholds: float32(shipped.tensors.thresholds.shape, thresholds) },
  );
  const ids = [
    await upload(Uint8Array.from(readFileSync(options.bundle))),
    await upload(Uint8Array.from(variant)),
  ];
  await admin("PUT", "/active", JSON.stringify({ detector: ids[0], reason: "start" }));

  // Swaps sent and swaps acknowledged: while both are equal, only the active detector may be named.
  let [begun, acknowledged] = [0, 0];
  let active = ids[0] as string;
  let running = true;
  let certain = 0;
  const latencies: number[] = [];
  const swapTimes: number[] = [];
  const failures: string[] = [];
  const body = JSON.stringify({ instances: [{ b64: readFileSync(options.image).toString("base64") }] });

  const client = async (): Promise<void> => {
    while (running) {
      const settled = begun === acknowledged ? begun : null;
      const began = performance.now();
      const response = await fetch(`${origin}/v1/models/${options.model}:predict`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
      });
      const answer = (await response.json()) as { error?: string; atpatch?: { detector: string } };
      latencies.push(performance.now() - began);
      const named = answer.atpatch?.detector;
      if (!response.ok || named === undefined) failures.push(`status ${response.status}: ${answer.error}`);
      else if (!ids.includes(named)) failures.push(`named ${named}, which was never active`);
      else if (settled === begun) {
        certain++;
        if (named !== active) failures.push(`named ${named} after the swap to ${active} was acknowledged`);
      }
      if (response.headers.get("x-atpatch-detector") !== named)
        failures.push("header and body name different detectors");
    }
  };
  const clients = Array.from({ length: options.connections }, client);
  for (let swap = 0; swap < options.swaps; swap++) {
    const next = ids[(swap + 1) % 2] as string;
    begun++;
    const began = performance.now();
    const response = await admin(
      "PUT",
      "/active",
      JSON.stringify({ detector: next, reason: `swap ${swap}` }),
    );
    swapTimes.push(performance.now() - began);
    if (response.status !== 200) failures.push(`swap ${swap}: status ${response.status}`);
    active = next;
    acknowledged++;
    if (swap % 20 === 19) process.stderr.write(`${swap + 1} swaps, ${latencies.length} requests\n`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  running = false;
  await Promise.all(clients);
  console.log(
    JSON.stringify(
      {
        swaps: options.swaps,
        connections: options.connections,
        requests: latencies.length,
        "requests wholly between two swaps": certain,
        failed: failures.length,
        predictMs: { p50: median(latencies), p99: quantile(latencies, 0.99) },
        swapMs: { p50: median(swapTimes), p99: quantile(swapTimes, 0.99) },
        failures: failures.slice(0, 5),
      },
      null,
      1,
    ),
  );
  return failures.length === 0 && certain > options.swaps;
}
