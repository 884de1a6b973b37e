/**
 * `npm run swaps`: swaps detectors under load while a shadow and a canary are on, and checks the promise: no request fails,
 * no answer names a detector that was not active during it, swaps are quick, latency and memory stay as they are. Stretches
 * with and without swaps take turns, so that both see the same machine.
 */
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { startServer, variantsOf } from "./own-server.ts";
import { median, quantile } from "./statistics.ts";

const options = new Command("swaps")
  .description("Swap detectors under load against a server of its own.")
  .option("--swaps <n>", "number of swaps", Number, 1000)
  .option("--connections <n>", "requests in flight", Number, 16)
  .option("--pause <ms>", "time between two swaps", Number, 50)
  .option("--models <dir>", "folder of models, or one model folder", "models/gtsrb-vit")
  .option("--model <name>", "model to swap on", "gtsrb-vit")
  .option(
    "--bundle <file>",
    "bundle to swap with variants of itself",
    "models/gtsrb-vit/detectors/checker-stamp.safetensors",
  )
  .option("--image <file>", "picture to send", "models/gtsrb-vit/samples/stop-stamped.png")
  .option("--port <n>", "port of the server", Number, 18_099)
  .parse()
  .opts<{
    swaps: number;
    connections: number;
    pause: number;
    models: string;
    model: string;
    bundle: string;
    image: string;
    port: number;
  }>();

/** Swaps of one stretch; a stretch without swaps takes as long. */
const stretch = 50;
/** Acceptance. */
const limits = { activationP99Ms: 50, predictP99Ratio: 1.3, rssGrowth: 0.05 };

const server = await startServer(options);
try {
  process.exitCode = (await swapUnderLoad()) ? 0 : 1;
} finally {
  await server.stop();
}

/** When a detector may have answered: from the call that activated it to the answer of the call that replaced it. */
interface Spell {
  readonly detector: string;
  readonly from: number;
  until: number;
}

async function swapUnderLoad(): Promise<boolean> {
  const ids: string[] = [];
  for (const bundle of variantsOf(options.bundle, 4)) ids.push(await server.upload(bundle));
  const [one, two, canary, shadow] = ids as [string, string, string, string];
  await server.admin("PUT", "/active", { detector: one, reason: "start" });
  await server.admin("PUT", "/policy", {
    shadow,
    canary: { detector: canary, percent: 20 },
    reason: "start",
  });

  const spells: Spell[] = [{ detector: one, from: -Infinity, until: Infinity }];
  const latencies = { quiet: [] as number[], swapping: [] as number[] };
  const activations: number[] = [];
  const memory: number[] = [];
  const failures: string[] = [];
  const wrong: string[] = [];
  let canaried = 0;
  let phase: keyof typeof latencies = "quiet";
  let running = true;
  const body = JSON.stringify({ instances: [{ b64: readFileSync(options.image).toString("base64") }] });

  const client = async (_: unknown, index: number): Promise<void> => {
    /** Sticky: whether this client was drawn for the canary. */
    let drawn: boolean | null = null;
    while (running) {
      const began = performance.now();
      const during = phase;
      try {
        const answer = await fetch(`${server.origin}/v1/models/${options.model}:predict`, {
          method: "POST",
          headers: { "content-type": "application/json", "x-atpatch-client": `client-${index}` },
          body,
        });
        const { error, atpatch } = (await answer.json()) as {
          error?: string;
          atpatch?: { detector: string };
        };
        const ended = performance.now();
        if (during === phase) latencies[during].push(ended - began);
        if (!answer.ok || atpatch === undefined) {
          failures.push(`status ${answer.status}: ${error}`);
          continue;
        }
        const named = atpatch.detector;
        if (answer.headers.get("x-atpatch-detector") !== named)
          wrong.push("header and body name different detectors");
        drawn ??= named === canary;
        canaried += Number(drawn);
        const possible = drawn
          ? named === canary
          : spells
              .slice(-64)
              .some(({ detector, from, until }) => detector === named && from <= ended && until >= began);
        if (!possible) wrong.push(`client ${index} was answered by ${named}, which was not active then`);
      } catch (error) {
        failures.push(String(error));
      }
    }
  };
  const clients = Array.from({ length: options.connections }, client);
  const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  await pause(3_000);
  for (let swap = 0; swap < options.swaps;) {
    const began = performance.now();
    phase = "swapping";
    for (let within = 0; within < stretch && swap < options.swaps; within++, swap++) {
      const next = swap % 2 === 0 ? two : one;
      const called = performance.now();
      const spell: Spell = { detector: next, from: called, until: Infinity };
      spells.push(spell);
      await server.admin("PUT", "/active", { detector: next, reason: `swap ${swap}` });
      const answered = performance.now();
      spells.at(-2)!.until = answered;
      activations.push(answered - called);
      await pause(options.pause);
    }
    memory.push(server.rss());
    const took = performance.now() - began;
    phase = "quiet";
    await pause(took);
    memory.push(server.rss());
    process.stderr.write(
      `${swap} swaps, ${latencies.quiet.length + latencies.swapping.length} requests, ${failures.length} failed\n`,
    );
  }
  running = false;
  await Promise.all(clients);
  const { shadow: table } = (await server.admin("GET", "")) as {
    shadow: { samples: number; dropped: number };
  };

  const quarter = (index: number): number =>
    median(
      memory.slice(Math.floor((index * memory.length) / 4), Math.floor(((index + 1) * memory.length) / 4)),
    );
  const [calm, busy] = [quantile(latencies.quiet, 0.99), quantile(latencies.swapping, 0.99)];
  const growth = quarter(3) / quarter(1) - 1;
  const result = {
    swaps: activations.length,
    connections: options.connections,
    requests: latencies.quiet.length + latencies.swapping.length,
    answeredByCanary: canaried,
    shadow: { scored: table.samples, dropped: table.dropped },
    failed: failures.length,
    wrongDetector: wrong.length,
    activationMs: {
      p50: median(activations),
      p99: quantile(activations, 0.99),
      most: Math.max(...activations),
    },
    predictMs: {
      quiet: { p50: median(latencies.quiet), p99: calm },
      swapping: { p50: median(latencies.swapping), p99: busy },
      p99Ratio: busy / calm,
    },
    rssMiB: [0, 1, 2, 3].map((index) => Math.round(quarter(index) / 2 ** 20)),
    rssGrowth: growth,
    faults: [...failures, ...wrong].slice(0, 5),
  };
  console.log(JSON.stringify(result, null, 1));
  return (
    failures.length === 0 &&
    wrong.length === 0 &&
    result.activationMs.p99 <= limits.activationP99Ms &&
    result.predictMs.p99Ratio <= limits.predictP99Ratio &&
    growth <= limits.rssGrowth
  );
}
