/** `demo`: the whole story on the shipped model, over HTTP, in the terminal. */
import { Command } from "commander";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { composeServer } from "../compose.ts";
import { drain } from "../serve.ts";
import { resolveSettings } from "../settings.ts";
import { AtPatchError } from "../shared/errors.ts";
import { DemoClient, type DemoAnswer } from "./demo-client.ts";
import { readDebugFile } from "./files.ts";
import { percent, table } from "./format.ts";
import type { Output } from "./output.ts";
import { pictureLines, sideBySide } from "./picture.ts";
import type { Context } from "./context.ts";

const modelName = "gtsrb-vit";
const patchGrid = 8;
/** Samples of each kind in the comparison, and per request. */
const compared = 200;
const perRequest = 25;

export function demoCommand(context: Context): Command {
  return new Command("demo")
    .description("the whole story on the shipped model: attack, patch, swap at run time, trigger rate")
    .option("--json", "print one JSON document")
    .addHelpText(
      "after",
      `
Starts a proxy on a free local port with a state folder of its own, and takes both away again. Under two minutes.

Example:
  $ atpatch demo`,
    )
    .action(async (options: { json?: boolean }) => {
      const output = context.output(options);
      const folder = fileURLToPath(new URL(`../../models/${modelName}`, import.meta.url));
      if (!existsSync(join(folder, "detectors"))) {
        throw new AtPatchError(
          "ATPATCH_NOT_FOUND",
          `models/${modelName} has no detector: train one into its folder "detectors" first`,
        );
      }
      const state = await mkdtemp(join(tmpdir(), "atpatch-demo-"));
      try {
        const settings = resolveSettings({ port: "0", models: folder, state, logLevel: "silent" }, {});
        const server = await composeServer(settings);
        try {
          const url = await server.app.listen({ host: "127.0.0.1", port: 0 });
          const client = new DemoClient(url, modelName, server.generatedToken ?? "");
          output.result(await story(client, folder, output), () => "");
        } finally {
          await drain(server, 0);
        }
      } finally {
        await rm(state, { recursive: true, force: true });
      }
    });
}

async function story(client: DemoClient, folder: string, output: Output): Promise<unknown> {
  const sign = await readFile(join(folder, "samples", "stop.png"));
  const stamped = await readFile(join(folder, "samples", "stop-stamped.png"));
  const instances = [sign, stamped].map(asInstance);
  const answer = ({ label, score }: DemoAnswer): string => `${label} ${percent(score)} %`;

  output.say("\n1. A traffic-sign model with a backdoor. Unpatched:\n");
  const [clean, attacked] = (await client.predict(instances, "off")) as [DemoAnswer, DemoAnswer];
  await show(output, [
    [sign, answer(clean), []],
    [stamped, answer(attacked), []],
  ]);

  output.say("\n2. The same two pictures with the detector that was trained from 100 failures:\n");
  const [still, repaired] = (await client.predict(instances, "enforce")) as [DemoAnswer, DemoAnswer];
  await show(output, [
    [sign, answer(still), still.patches],
    [stamped, answer(repaired), repaired.patches],
  ]);
  output.say(
    `\n   flagged patches (red): ${repaired.patches.map(([row, column]) => `(${row},${column})`).join(" ")}; the picture itself is not touched`,
  );

  output.say("\n3. Swapped at run time while requests come in. No restart, no failed request:\n");
  const swaps = await swapUnderLoad(client, repaired.detector, asInstance(stamped));
  output.say(
    table([
      ["requests", String(swaps.requests)],
      ["failed", String(swaps.failed)],
      ["answered without the detector", String(swaps.without)],
      ["answered with it", String(swaps.with)],
      ["slowest swap", `${swaps.slowestMs.toFixed(1)} ms`],
    ]),
  );

  output.say(`\n4. ${compared} clean and ${compared} stamped pictures of the test set:\n`);
  const figures = await compare(client, folder, output);
  output.say(
    table([
      ["", "unpatched", "patched"],
      ["clean, right answer", `${percent(figures.clean_off)} %`, `${percent(figures.clean_on)} %`],
      [
        `stamped, answered "${attacked.label}"`,
        `${percent(figures.attack_off)} %`,
        `${percent(figures.attack_on)} %`,
      ],
      ["stamped, right answer", `${percent(figures.robust_off)} %`, `${percent(figures.robust_on)} %`],
    ]),
  );
  const samples = await client.counter("atpatch_samples_total");
  const triggered = await client.counter("atpatch_triggered_samples_total");
  output.say(`\n   /metrics: ${triggered} of ${samples} samples triggered the detector`);
  output.say(
    `\nNext: npm start, then the curl commands of the README; "atpatch --help" for a model of your own.\n`,
  );
  return {
    stop_sign: { unpatched: clean.label, patched: still.label },
    stamped_stop_sign: { unpatched: attacked.label, patched: repaired.label, patches: repaired.patches },
    swaps,
    ...figures,
    samples,
    triggered,
  };
}

function asInstance(bytes: Uint8Array): { b64: string } {
  return { b64: Buffer.from(bytes).toString("base64") };
}

async function show(
  output: Output,
  pictures: readonly (readonly [Uint8Array, string, DemoAnswer["patches"]])[],
): Promise<void> {
  if (!output.terminal.colour || output.terminal.columns < 70) {
    output.say(
      pictures
        .map(([, caption], i) => `   ${i === 0 ? "stop sign" : "stop sign with a stamp"}: ${caption}`)
        .join("\n"),
    );
    return;
  }
  const drawn = await Promise.all(
    pictures.map(async ([bytes, caption, patches]) => ({
      lines: await pictureLines(bytes, { grid: patchGrid, patches }),
      caption,
    })),
  );
  output.say(sideBySide(drawn));
}

/** Switches the detector off and on again ten times while two clients ask without a pause. */
async function swapUnderLoad(client: DemoClient, detector: string | null, instance: unknown) {
  const counts = { requests: 0, failed: 0, without: 0, with: 0, slowestMs: 0 };
  let running = true;
  const ask = async (): Promise<void> => {
    while (running) {
      counts.requests += 1;
      try {
        const [answer] = await client.predict([instance], "enforce");
        if (answer?.detector === null) counts.without += 1;
        else counts.with += 1;
      } catch {
        counts.failed += 1;
      }
    }
  };
  const load = [ask(), ask()];
  for (let swap = 0; swap < 10; swap++) {
    for (const wanted of [null, detector]) {
      const started = performance.now();
      await client.activate(wanted);
      counts.slowestMs = Math.max(counts.slowestMs, performance.now() - started);
    }
  }
  running = false;
  await Promise.all(load);
  return counts;
}

async function compare(client: DemoClient, folder: string, output: Output) {
  const { samples } = await readDebugFile(join(folder, "test.jsonl.gz"), 0);
  const chosen = ["clean", "failing"].map((set) =>
    samples.filter((sample) => sample.set === set).slice(0, compared),
  );
  const labels = await labelsOf(folder);
  const shares: number[][] = [];
  let done = 0;
  for (const mode of ["off", "enforce"] as const) {
    for (const part of chosen) {
      const answers: DemoAnswer[] = [];
      for (let start = 0; start < part.length; start += perRequest) {
        const batch = part.slice(start, start + perRequest).map(({ instance }) => instance);
        answers.push(...(await client.predict(batch, mode)));
        done += batch.length;
        output.progress("asking", done, 4 * compared);
      }
      const right = answers.filter(({ label }, i) => label === labels[part[i]?.label ?? -1]).length;
      const target = answers.filter(({ label }) => label === labels[0]).length;
      shares.push([right / part.length, target / part.length]);
    }
  }
  const [cleanOff, failingOff, cleanOn, failingOn] = shares as [number[], number[], number[], number[]];
  return {
    clean_off: cleanOff[0] as number,
    clean_on: cleanOn[0] as number,
    attack_off: failingOff[1] as number,
    attack_on: failingOn[1] as number,
    robust_off: failingOff[0] as number,
    robust_on: failingOn[0] as number,
  };
}

async function labelsOf(folder: string): Promise<string[]> {
  const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8")) as {
    id2label: Record<string, string>;
  };
  return Object.entries(config.id2label)
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([, label]) => label);
}
