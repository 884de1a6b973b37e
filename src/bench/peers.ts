/**
 * `npm run peers`: throughput and latency of AtPatch, with its detector active, beside other inference servers with the same
 * model, runtime and threads, and beside the bare runtime. Servers that are not asked stand still; they take turns round by
 * round. Nothing of them becomes a dependency: each gets a Python environment outside the repository.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import runtime from "onnxruntime-node/package.json" with { type: "json" };
import { packageVersion } from "../version.ts";
import { createBareCall } from "./peers/bare-call.ts";
import type { Call } from "./peers/call.ts";
import { preparePython, versions } from "./peers/environment.ts";
import { addRound, newFigures, type Figures } from "./peers/figures.ts";
import { createGrpcCall } from "./peers/grpc-call.ts";
import { createHttpCall } from "./peers/http-call.ts";
import { atpatch, entryName, peers, type Form } from "./peers/lineup.ts";
import { readQuestion } from "./peers/question.ts";
import { markdown } from "./peers/report.ts";
import type { ServerProcess } from "./peers/server-process.ts";
import { checkDetector, startAtPatch, startPeer, type Ports, type Started } from "./peers/start.ts";

const everyPeer = peers.map(({ key }) => key).join(",");
const options = new Command("peers")
  .description("Throughput and latency beside other inference servers.")
  .option("--peers <list>", "other servers to compare with", everyPeer)
  .option("--rounds <n>", "how often each takes its turn", Number, 5)
  .option("--seconds <n>", "time for each turn", Number, 4)
  .option("--warm-up <n>", "seconds of load before each turn that do not count", Number, 0.5)
  .option("--connections <n>", "requests in flight", Number, 8)
  .option("--threads <n>", "intra-op threads of every session", Number, 1)
  .option("--batch <n>", "most samples that share a run, for servers that can; 1 for none", Number, 32)
  .option("--models <dir>", "folder of model folders", "models")
  .option("--model <name>", "model to serve; it ships a detector and golden samples", "gtsrb-vit")
  .option("--venvs <dir>", "where the Python environments are kept", join(tmpdir(), "atpatch-peers"))
  .option("--out <file>", "also write the section to this file")
  .parse()
  .opts<{
    peers: string;
    rounds: number;
    seconds: number;
    warmUp: number;
    connections: number;
    threads: number;
    batch: number;
    models: string;
    model: string;
    venvs: string;
    out?: string;
  }>();

/** A row of the table. */
interface Entry {
  readonly call: Call;
  /** Null for what needs no pause. */
  readonly server: ServerProcess | null;
  readonly figures: Figures;
}

const bare = "bare loop";
/** Scores of the same model and runtime differ by rounding alone. */
const tolerance = 1e-3;
const scratch = mkdtempSync(join(tmpdir(), "atpatch-peers-run-"));
const conditions = { threads: options.threads, batch: options.batch, scratch };
const servers: ServerProcess[] = [];
const calls: Call[] = [];
const missing: string[] = [];
const facts: string[] = [];

process.once("exit", () => {
  for (const server of servers) server.kill();
  rmSync(scratch, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void endAll().finally(() => process.exit(130)));
}

try {
  const question = await readQuestion(options.models, options.model);
  const entries = await enterAll();
  await measure(entries);
  const section = markdown({
    title: `Beside other servers: ${options.model}`,
    facts: [...conditionFacts(), ...facts],
    figures: entries.map(({ figures }) => figures),
    baselines: [entryName("FastAPI", "plain"), bare],
    missing,
  });
  console.log(section);
  if (options.out) writeFileSync(options.out, section);
  process.exitCode = entries.some(({ figures }) => figures.errors.size > 0) ? 1 : 0;

  /** Starts everybody, one after the other, and checks their answers. */
  async function enterAll(): Promise<Entry[]> {
    const bareCall = createBareCall(question, options.threads);
    calls.push(bareCall);
    const product = await startAtPatch(options.models, question, conditions);
    servers.push(product.server);
    await product.server.ready(urlOf(product.ports, atpatch.readyPath));
    await checkDetector(product, options.model);
    const expected = await bareCall.once();
    const found = [
      await enter(bare, bareCall, null, expected),
      ...(await enterForms(atpatch.name, atpatch.forms, product, expected)),
    ];
    facts.push(`AtPatch ${packageVersion()}: ${atpatch.deployed}`);
    for (const key of options.peers.split(",").filter((name) => name !== "")) {
      try {
        found.push(...(await enterPeer(key, expected)));
      } catch (error) {
        missing.push(`${key}: ${error instanceof Error ? error.message : String(error)}`);
        process.stderr.write(`${missing.at(-1)}\n`);
      }
    }
    return found;
  }

  async function enterPeer(key: string, expected: readonly number[]): Promise<Entry[]> {
    const peer = peers.find((candidate) => candidate.key === key);
    if (!peer) throw new Error(`not one of ${everyPeer}`);
    const python = await preparePython(options.venvs, key);
    const started = await startPeer(peer, python, question, conditions);
    servers.push(started.server);
    await started.server.ready(urlOf(started.ports, peer.readyPath));
    const found = await enterForms(peer.name, peer.forms, started, expected);
    facts.push(`${peer.name}: ${peer.deployed} (${await versions(python, peer.packages)})`);
    return found;
  }

  async function enterForms(
    name: string,
    forms: readonly Form[],
    { server, ports }: Started,
    expected: readonly number[],
  ): Promise<Entry[]> {
    const found: Entry[] = [];
    for (const form of forms) {
      const call =
        form === "grpc"
          ? await createGrpcCall(ports.grpc, question)
          : createHttpCall(form, ports.http, question);
      calls.push(call);
      found.push(await enter(entryName(name, form), call, server, expected));
    }
    server.pause();
    return found;
  }
} finally {
  await endAll();
}

/** Checks the first answer and lets the server reach its usual speed. */
async function enter(
  name: string,
  call: Call,
  server: ServerProcess | null,
  expected: readonly number[],
): Promise<Entry> {
  const scores = await call.once();
  const furthest = Math.max(...expected.map((score, index) => Math.abs(score - (scores[index] ?? NaN))));
  if (!(furthest <= tolerance) || best(scores) !== best(expected)) {
    throw new Error(`${name} answers class ${best(scores)}, the bare model class ${best(expected)}`);
  }
  await call.load(options.connections, 2 * options.warmUp);
  process.stderr.write(`${name} is ready\n`);
  return { call, server, figures: newFigures(name) };
}

/** Rounds in which everybody takes a turn; each round begins with another one. */
async function measure(entries: readonly Entry[]): Promise<void> {
  for (let round = 0; round < options.rounds; round++) {
    for (let turn = 0; turn < entries.length; turn++) {
      const { call, server, figures } = entries[(turn + round) % entries.length]!;
      server?.resume();
      await call.load(options.connections, options.warmUp);
      addRound(figures, await call.load(options.connections, options.seconds), call.good);
      server?.pause();
      const perSecond = Math.round(figures.perSecond.at(-1)!);
      process.stderr.write(`round ${round + 1}: ${figures.name} ${perSecond} requests/s\n`);
    }
  }
}

async function endAll(): Promise<void> {
  await Promise.all([...servers.map((server) => server.end()), ...calls.map((call) => call.end())]);
}

function conditionFacts(): string[] {
  const { connections, threads, batch, rounds, seconds } = options;
  const batching =
    batch > 1 ? `up to ${batch} samples share a run where a server can do that` : "no batching";
  return [
    `${cpus().length} × ${cpus()[0]?.model}; Node ${process.versions.node}, onnxruntime-node ${runtime.version}`,
    `${rounds} rounds of ${seconds} s, ${connections} connections, one sample a request, ${threads} intra-op thread(s) a session, ${batching}`,
    `command: \`npm run peers -- ${process.argv.slice(2).join(" ")}\``,
  ];
}

function urlOf({ http }: Ports, path: string): string {
  return `http://127.0.0.1:${http}${path}`;
}

function best(scores: readonly number[]): number {
  return scores.indexOf(Math.max(...scores));
}
