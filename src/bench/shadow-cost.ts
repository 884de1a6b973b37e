/**
 * `npm run shadow-cost`: what a shadow costs the answers, and what observing costs against the patch switched off. Policies
 * take turns block by block on one server; each ratio is that of neighbouring blocks.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { bundleVariants } from "./bundle-variants.ts";
import { OwnProxy, type State } from "./own-proxy.ts";
import { writeRandomFolder } from "./random-folder.ts";
import { median, quantile, ratio } from "./statistics.ts";

const options = new Command("shadow-cost")
  .description("Latency with and without a shadow, and of observe against off, interleaved on one server.")
  .option("--rounds <n>", "blocks of each policy", Number, 60)
  .option("--requests <n>", "requests of a block", Number, 30)
  .option("--connections <n>", "requests in flight", Number, 1)
  .option("--models <dir>", "folder of models", "models")
  .option(
    "--model <name>",
    "model to ask; it ships a detector. random-vit: one whose inference takes some 15 ms",
    "gtsrb-vit",
  )
  .option("--picture <file>", "picture to send", "models/gtsrb-vit/samples/stop.png")
  .option("--limit <share>", "largest additional cost that passes", Number, 0.03)
  .option("--port <n>", "port of the server", Number, 18_098)
  .parse()
  .opts<{
    rounds: number;
    requests: number;
    connections: number;
    models: string;
    model: string;
    picture: string;
    limit: number;
    port: number;
  }>();

const scratch = mkdtempSync(join(tmpdir(), "atpatch-shadow-"));
const models = options.model === "random-vit" ? scratch : options.models;
if (models === scratch) writeRandomFolder(join(scratch, options.model));
const proxy = await OwnProxy.start(models, options.model, options.port);
try {
  process.exitCode = (await measure()) ? 0 : 1;
} finally {
  await proxy.stop();
  rmSync(scratch, { recursive: true, force: true });
}

async function measure(): Promise<boolean> {
  const [active, shadow] = (await Promise.all(
    (await bundleVariants(join(models, options.model), 2)).map((bundle) => proxy.upload(bundle)),
  )) as [string, string];
  await proxy.activate(active, "measured");
  const policies = {
    off: { mode: "off", shadow: null },
    observe: { mode: "observe", shadow: null },
    enforce: { mode: "enforce", shadow: null },
    "enforce with a shadow": { mode: "enforce", shadow },
  };
  const names = Object.keys(policies) as (keyof typeof policies)[];
  let scored: State["shadow"] = null;
  const blocks = new Map(names.map((name) => [name, [] as number[]]));
  const all = new Map(names.map((name) => [name, [] as number[]]));
  const body = JSON.stringify({ instances: [{ b64: readFileSync(options.picture).toString("base64") }] });
  for (let round = -2; round < options.rounds; round++) {
    for (let k = 0; k < names.length; k++) {
      // The order turns round every time, so that no policy always comes after the same one.
      const name = names[round % 2 === 0 ? k : names.length - 1 - k]!;
      await proxy.setPolicy(policies[name]);
      await block(body, options.connections);
      const times = await block(body, options.requests);
      if (policies[name].shadow !== null) scored = await counted();
      if (round < 0) continue;
      blocks.get(name)!.push(median(times));
      all.get(name)!.push(...times);
    }
  }
  const compare = (name: keyof typeof policies, base: keyof typeof policies): object => {
    const { median: middle, low, high } = ratio(blocks.get(name)!, blocks.get(base)!);
    return {
      ratio: Number(middle.toFixed(4)),
      quartiles: [Number(low.toFixed(4)), Number(high.toFixed(4))],
      passed: middle <= 1 + options.limit,
    };
  };
  const compared = {
    "observe against off": compare("observe", "off"),
    "shadow against none": compare("enforce with a shadow", "enforce"),
  };
  const ms = Object.fromEntries(
    names.map((name) => [
      name,
      {
        p50: Number(median(all.get(name)!).toFixed(3)),
        p99: Number(quantile(all.get(name)!, 0.99).toFixed(3)),
      },
    ]),
  );
  console.log(JSON.stringify({ ...options, ms, ...compared, scored }, null, 1));
  return Object.values(compared).every((row) => (row as { passed: boolean }).passed);
}

/** What the shadow has counted, once the last runs are scored too. */
async function counted(): Promise<State["shadow"]> {
  await sleep(400);
  return (await proxy.state()).shadow;
}

/** Sends so many requests over the connections. @returns their times in ms */
async function block(body: string, requests: number): Promise<number[]> {
  const times: number[] = [];
  let left = requests;
  const client = async (): Promise<void> => {
    while (left-- > 0) {
      const began = performance.now();
      const { status, error } = await proxy.predict(body);
      if (status !== 200) throw new Error(`status ${status}: ${error}`);
      times.push(performance.now() - began);
    }
  };
  await Promise.all(Array.from({ length: options.connections }, client));
  return times;
}
