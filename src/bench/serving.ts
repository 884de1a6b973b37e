/**
 * `npm run serving`: how the server does at 1 to 64 connections, past its capacity and while it is told to end. The load comes
 * from a thread of its own. One worker with one compute thread against a bare loop over the same model with one thread.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { float32 } from "../shared/tensor.ts";
import { startBare } from "./bare.ts";
import { LoadGenerator, type LoadOrder, type LoadResult } from "./load-generator.ts";
import { OwnProxy } from "./own-proxy.ts";
import { httpRequest } from "./peers/http-call.ts";
import { randomShape, writeRandomModel } from "./random-folder.ts";
import { median, quantile } from "./statistics.ts";

const options = new Command("serving")
  .description("Throughput, overload and drain of a server of its own.")
  .option("--seconds <n>", "time for each load", Number, 6)
  .option("--connections <list>", "loads to try", "1,2,4,8,16,32,64")
  .option("--model <name>", "gtsrb-vit, or random-vit, whose inference takes some 15 ms", "random-vit")
  .option("--port <n>", "port of the server", Number, 18_097)
  .parse()
  .opts<{ seconds: number; connections: string; model: string; port: number }>();

/** Acceptance. */
const limits = {
  bareRatio: 0.9,
  loopP99Ms: 10,
  probeP99Ms: 50,
  goodput: 0.9,
  refusalMs: 100,
  recoveryMs: 2_000,
  drainMs: 30_000,
};
const overload = 4;

const scratch = mkdtempSync(join(tmpdir(), "atpatch-serving-"));
const shipped = options.model !== "random-vit";
const image = shipped ? 32 : randomShape.image;
if (!shipped) {
  writeRandomModel(join(scratch, options.model));
}
const models = shipped ? "models" : scratch;
const shape = [1, 3, image, image];
const pixels = Float32Array.from({ length: 3 * image * image }, (_, index) => Math.sin(index));
const inputs = { pixel_values: float32(shape, pixels) };
const { target, body } = httpRequest("binary", options.port, { model: options.model, inputs });
const load = new LoadGenerator();
let passed = true;
const hold = (what: string, figure: number, limit: number, atMost = true): void => {
  const holds = atMost ? figure <= limit : figure >= limit;
  passed &&= holds;
  console.log(
    `${holds ? "holds" : "MISSED"}: ${what}: ${rounded(figure)}, ${atMost ? "at most" : "at least"} ${limit}`,
  );
};
try {
  console.log(`${options.model}, node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}`);
  const proxy = await OwnProxy.start(models, options.model, options.port, {
    ATPATCH_WORKERS: "1",
    ATPATCH_THREADS: "1",
  });
  try {
    const capacity = await scale(proxy);
    await fullLoad(proxy);
    await pastCapacity(proxy, capacity);
    await drain(proxy);
  } finally {
    await proxy.stop();
  }
  process.exitCode = passed ? 0 : 1;
} finally {
  await load.end();
  rmSync(scratch, { recursive: true, force: true });
}

/** Throughput at each number of connections beside the bare loop, which takes turns with them. @returns the best */
async function scale(proxy: OwnProxy): Promise<number> {
  await run({ connections: 8, seconds: 3 });
  const rows: Record<string, unknown>[] = [];
  const ratios: number[] = [];
  let best = 0;
  for (const connections of options.connections.split(",").map(Number)) {
    const bare = await bareLoop(options.seconds / 2);
    const result = await run({ connections, seconds: options.seconds });
    const bareAgain = await bareLoop(options.seconds / 2);
    const answered = latencies(result, "200");
    const perSecond = answered.length / result.seconds;
    const ratio = perSecond / ((bare + bareAgain) / 2);
    if (connections > 1) ratios.push(ratio);
    best = Math.max(best, perSecond);
    rows.push({
      connections,
      "requests/s": rounded(perSecond),
      "p50 ms": rounded(median(answered)),
      "p99 ms": rounded(quantile(answered, 0.99)),
      others: others(result, "200"),
      "to the bare loop": rounded(ratio),
      "resident MiB": Math.round(await proxy.residentMiB()),
    });
  }
  console.table(rows);
  hold(
    "throughput to the bare loop, median over 2 and more connections",
    median(ratios),
    limits.bareRatio,
    false,
  );
  return best;
}

/** Event loop, health and metrics while 16 connections keep the server busy. */
async function fullLoad(proxy: OwnProxy): Promise<void> {
  const loaded = run({ connections: 16, seconds: 2 * options.seconds + 1 });
  await sleep(1_000);
  // Reading the metrics begins a new window of the event loop's histogram.
  await proxy.metric("nodejs_eventloop_lag_p99_seconds");
  const health = await probe("/v2/health/ready");
  const lag = (await proxy.metric("nodejs_eventloop_lag_p99_seconds")) * 1000;
  const metrics = await probe("/metrics");
  await loaded;
  hold("event loop delay p99 at full load, ms", lag, limits.loopP99Ms);
  hold("health p99 at full load, ms", quantile(health, 0.99), limits.probeP99Ms);
  hold("metrics p99 at full load, ms", quantile(metrics, 0.99), limits.probeP99Ms);
}

async function pastCapacity(proxy: OwnProxy, capacity: number): Promise<void> {
  const idle = median(latencies(await run({ connections: 1, seconds: 2 }), "200"));
  const before = await proxy.residentMiB();
  const memory: number[] = [];
  const watching = setInterval(() => void proxy.residentMiB().then((mib) => memory.push(mib)), 250);
  const result = await run({ rate: overload * capacity, seconds: 2 * options.seconds });
  const ended = performance.now();
  let recovered = ended;
  for (;;) {
    const [ms] = latencies(await run({ connections: 1, seconds: 0.02 }), "200");
    recovered = performance.now();
    if ((ms !== undefined && ms <= 2 * idle) || recovered - ended > 10_000) break;
  }
  clearInterval(watching);
  const [good, refused] = [latencies(result, "200"), latencies(result, "429")];
  console.log(
    `${overload} × capacity: ${rounded(overload * capacity)} requests/s sent, ${rounded(good.length / result.seconds)} answered ` +
      `(p50 ${rounded(median(good))} ms, p99 ${rounded(quantile(good, 0.99))} ms), ${refused.length} refused ` +
      `(p50 ${rounded(median(refused))} ms), others ${others(result, "200", "429")}, resident ${Math.round(before)} → ` +
      `${Math.round(Math.max(...memory))} MiB`,
  );
  hold("goodput to capacity", good.length / result.seconds / capacity, limits.goodput, false);
  hold("429 within, p99 ms", quantile(refused, 0.99), limits.refusalMs);
  hold("neither answered nor refused with 429", countOthers(result, "200", "429"), 0);
  hold("recovered after, ms", recovered - ended, limits.recoveryMs);
}

/** SIGTERM while 32 connections send. */
async function drain(proxy: OwnProxy): Promise<void> {
  const loaded = run({ connections: 32, seconds: 60 });
  await sleep(2_000);
  const { code, ms } = await proxy.terminate();
  await sleep(200);
  load.stop();
  const result = await loaded;
  // Refused cleanly: told so (503), or nobody listens any more.
  const lost = countOthers(result, "200", "429", "503", "ECONNREFUSED");
  console.log(
    `drain: ${latencies(result, "200").length} answered, ${latencies(result, "503").length} told to go elsewhere, ` +
      `${latencies(result, "ECONNREFUSED").length} found nobody, others ${others(result, "200", "503", "ECONNREFUSED")}`,
  );
  hold("requests lost to SIGTERM", lost, 0);
  hold("exit code", code ?? -1, 0);
  hold("ended after, ms", ms, limits.drainMs);
}

function run(order: Omit<LoadOrder, "target" | "body">): Promise<LoadResult> {
  return load.run({ target, body, ...order });
}

/** Latencies in ms of a GET, asked every 20 ms. */
async function probe(path: string): Promise<number[]> {
  const times: number[] = [];
  const end = performance.now() + options.seconds * 1000;
  while (performance.now() < end) {
    const asked = performance.now();
    const response = await fetch(`http://127.0.0.1:${options.port}${path}`);
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    times.push(performance.now() - asked);
    await sleep(20);
  }
  return times;
}

/** Runs of the model a second in a worker thread, without a server. */
async function bareLoop(seconds: number): Promise<number> {
  const bare = await startBare({ path: join(models, options.model, "model.onnx"), threads: 1 });
  try {
    for (let warm = 0; warm < 10; warm++) await bare.run(inputs);
    const began = performance.now();
    let runs = 0;
    for (; performance.now() - began < seconds * 1000; runs++) await bare.run(inputs);
    return (runs * 1000) / (performance.now() - began);
  } finally {
    await bare.close();
  }
}

function latencies({ outcomes }: LoadResult, outcome: string): readonly number[] {
  return outcomes[outcome] ?? [];
}

/** Outcomes that were not expected, and how often each was seen. */
function unexpected(
  { outcomes }: LoadResult,
  ...expected: readonly string[]
): [outcome: string, count: number][] {
  return Object.entries(outcomes)
    .filter(([outcome]) => !expected.includes(outcome))
    .map(([outcome, { length }]) => [outcome, length]);
}

/** The same in words. */
function others(result: LoadResult, ...expected: readonly string[]): string {
  return (
    unexpected(result, ...expected)
      .map(([outcome, count]) => `${count} × ${outcome}`)
      .join(", ") || "none"
  );
}

function countOthers(result: LoadResult, ...expected: readonly string[]): number {
  return unexpected(result, ...expected).reduce((sum, [, count]) => sum + count, 0);
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
