/**
 * `npm run swaps`: swaps detectors under load while a shadow and a canary are on, and checks the promise: no request fails,
 * no answer names a detector that was not active during it, swaps are quick, latency and memory stay as they are. Stretches
 * with and without swaps take turns, so that both see the same machine.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { ActiveIntervals } from "./active-intervals.ts";
import { bundleVariants } from "./bundle-variants.ts";
import { OwnProxy } from "./own-proxy.ts";
import { mean, median, quantile } from "./statistics.ts";

const options = new Command("swaps")
  .description("Swap detectors under load against a server of its own.")
  .option("--swaps <n>", "number of swaps", Number, 1000)
  .option("--connections <n>", "requests in flight", Number, 16)
  .option("--pause <ms>", "time between two swaps", Number, 50)
  .option("--warm-up <s>", "time under load before the first swap", Number, 60)
  .option("--models <dir>", "folder of model folders", "models")
  .option("--model <name>", "model to swap on; its shipped detector is varied", "gtsrb-vit")
  .option("--image <file>", "picture to send, in the model's folder", "samples/stop-stamped.png")
  .option("--port <n>", "port of the server", Number, 18_099)
  .parse()
  .opts<{
    swaps: number;
    connections: number;
    pause: number;
    warmUp: number;
    models: string;
    model: string;
    image: string;
    port: number;
  }>();

/** More detectors than swaps during one request, so that an old one is told from the present one. */
const rotating = 8;
/** Swaps of one stretch; a stretch without swaps takes as long. */
const stretch = 50;
/** Acceptance. */
const limits = { activationP99Ms: 50, predictP99Ratio: 1.3, rssGrowth: 0.05 };

const proxy = await OwnProxy.start(options.models, options.model, options.port);
try {
  process.exitCode = (await swapUnderLoad()) ? 0 : 1;
} finally {
  await proxy.stop();
}

async function swapUnderLoad(): Promise<boolean> {
  const folder = join(options.models, options.model);
  const ids: string[] = [];
  for (const bundle of await bundleVariants(folder, rotating + 2)) ids.push(await proxy.upload(bundle));
  const [canary, shadow] = ids.splice(rotating) as [string, string];
  const one = ids[0]!;
  const active = new ActiveIntervals();
  active.begin(one, performance.now());
  await proxy.activate(one, "start");
  await proxy.setPolicy({ shadow, canary: { detector: canary, percent: 20 } });

  const latencies = { quiet: [] as number[], swapping: [] as number[] };
  const activations: number[] = [];
  const memory: number[] = [];
  const failures: string[] = [];
  const wrong: string[] = [];
  const shadowed = { scored: 0, dropped: 0 };
  let byCanary = 0;
  /** Answers that only one detector could have given. */
  let decisive = 0;
  let phase: keyof typeof latencies = "quiet";
  let running = true;
  const picture = readFileSync(join(folder, options.image)).toString("base64");
  const body = JSON.stringify({ instances: [{ b64: picture }] });

  const client = async (): Promise<void> => {
    while (running) {
      const [began, during] = [performance.now(), phase];
      try {
        const { status, named, header, error } = await proxy.predict(body);
        const ended = performance.now();
        // What began before the phase did belongs to neither.
        if (during === phase) latencies[during].push(ended - began);
        if (status !== 200 || typeof named !== "string") failures.push(`status ${status}: ${error}`);
        else if (named !== header) wrong.push("header and body name different detectors");
        else if (named === canary) byCanary++;
        else {
          const allowed = active.during(began, ended);
          if (!allowed.has(named)) wrong.push(`answered by ${named}, not active then`);
          else if (allowed.size === 1) decisive++;
        }
      } catch (error) {
        failures.push(String(error));
      }
    }
  };
  const operator = proxy.operator();
  const clients = Array.from({ length: options.connections }, client);
  // The heaps of all threads reach their usual size first.
  await sleep(options.warmUp * 1000);
  // Heaps go up and down with every collection: only many samples tell whether they rise.
  const sampler = async (): Promise<void> => {
    for (; running; await sleep(500)) memory.push(await proxy.residentMiB());
  };
  const sampling = sampler();
  for (let swap = 0; swap < options.swaps;) {
    const began = performance.now();
    phase = "swapping";
    for (let within = 0; within < stretch && swap < options.swaps; within++, swap++) {
      const next = ids[(swap + 1) % rotating]!;
      active.begin(next, performance.now());
      const { called, answered } = await operator.activate(next, `swap ${swap}`);
      active.acknowledge(answered);
      activations.push(answered - called);
      await sleep(options.pause);
    }
    const took = performance.now() - began;
    phase = "quiet";
    await sleep(took);
    process.stderr.write(`${swap} swaps, ${latencies.quiet.length + latencies.swapping.length} requests\n`);
  }
  running = false;
  await Promise.all([...clients, sampling]);
  await operator.end();
  const { shadow: table } = await proxy.state();
  Object.assign(shadowed, { scored: table?.samples ?? 0, dropped: table?.dropped ?? 0 });

  const quarter = (index: number): number => {
    const at = (share: number): number => Math.floor((share * memory.length) / 4);
    return mean(memory.slice(at(index), at(index + 1)));
  };
  const [quiet, swapping] = [quantile(latencies.quiet, 0.99), quantile(latencies.swapping, 0.99)];
  const result = {
    swaps: activations.length,
    connections: options.connections,
    requests: latencies.quiet.length + latencies.swapping.length,
    byCanary,
    decisive,
    shadowed,
    failed: failures.length,
    wrongDetector: wrong.length,
    activationMs: {
      p50: median(activations),
      p99: quantile(activations, 0.99),
      most: Math.max(...activations),
    },
    predictMs: {
      quiet: { p50: median(latencies.quiet), p99: quiet },
      swapping: { p50: median(latencies.swapping), p99: swapping },
      p99Ratio: swapping / quiet,
    },
    rssMiB: [0, 1, 2, 3].map((index) => Math.round(quarter(index))),
    rssGrowth: quarter(3) / quarter(1) - 1,
    faults: [...failures, ...wrong].slice(0, 5),
  };
  console.log(JSON.stringify(result, null, 1));
  return (
    result.failed + result.wrongDetector === 0 &&
    result.activationMs.p99 <= limits.activationP99Ms &&
    result.predictMs.p99Ratio <= limits.predictP99Ratio &&
    result.rssGrowth <= limits.rssGrowth
  );
}
