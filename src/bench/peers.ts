/**
 * `npm run peers`: throughput and latency of AtPatch, with its detector active, beside other inference servers with the same
 * model, runtime and threads, and beside the bare runtime. Servers that are not asked stand still; they take turns round by
 * round. Nothing of them becomes a dependency: each gets a Python environment outside the repository.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import runtime from "onnxruntime-node/package.json" with { type: "json" };
import { packageVersion } from "../version.ts";
import { Contest } from "./peers/contest.ts";
import { atpatch, bare, entryName, peers } from "./peers/lineup.ts";
import { readQuestion } from "./peers/question.ts";
import { markdown } from "./peers/report.ts";

const known = peers.map(({ key }) => key);
const program = new Command("peers")
  .description("Throughput and latency beside other inference servers.")
  .option("--peers <list>", "other servers to compare with", known.join(","))
  .option("--rounds <n>", "how often each takes its turn", Number, 5)
  .option("--seconds <n>", "time of a turn", Number, 4)
  .option("--settle <n>", "seconds of load on each before the first round, for compilers", Number, 8)
  .option("--warm-up <n>", "seconds of load before each turn that do not count", Number, 0.5)
  .option("--connections <n>", "requests in flight", Number, 8)
  .option("--threads <n>", "intra-op threads of every session", Number, 1)
  .option("--batch <n>", "most samples that share a run, for servers that can; 1 for none", Number, 32)
  .option("--models <dir>", "folder of model folders", "models")
  .option("--model <name>", "model to serve; it ships a detector and golden samples", "gtsrb-vit")
  .option("--venvs <dir>", "where the Python environments are kept", join(tmpdir(), "atpatch-peers"))
  .option("--out <file>", "also write the section to this file")
  .parse();
const options = program.opts<{
  peers: string;
  rounds: number;
  seconds: number;
  settle: number;
  warmUp: number;
  connections: number;
  threads: number;
  batch: number;
  models: string;
  model: string;
  venvs: string;
  out?: string;
}>();
const chosen = options.peers.split(",").filter((key) => key !== "");
const unknown = chosen.find((key) => !known.includes(key));
if (unknown !== undefined) program.error(`--peers: "${unknown}" is not one of ${known.join(", ")}`);

const busy = loadavg()[0]!.toFixed(1);
const scratch = mkdtempSync(join(tmpdir(), "atpatch-peers-run-"));
const contest = new Contest(
  await readQuestion(options.models, options.model),
  { threads: options.threads, batch: options.batch, scratch },
  options,
);
process.once("exit", () => {
  contest.kill();
  rmSync(scratch, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void contest.end().finally(() => process.exit(130)));
}

try {
  await contest.addBare();
  await contest.addAtPatch(options.models);
  const deployed = [`AtPatch ${packageVersion()}: ${atpatch.deployed}`];
  for (const peer of peers.filter(({ key }) => chosen.includes(key))) {
    const versions = await contest.addPeer(peer, options.venvs);
    if (versions !== null) deployed.push(`${peer.name}: ${peer.deployed} (${versions})`);
  }
  for (let round = 0; round < options.rounds; round++) await contest.round(round);
  const section = markdown({
    title: `Beside other servers: ${options.model}`,
    facts: [...conditions(), ...deployed],
    figures: contest.figures,
    baselines: [entryName("FastAPI", "plain"), bare],
    missing: contest.missing,
  });
  console.log(section);
  if (options.out) writeFileSync(options.out, section);
  const failed = contest.figures.some(({ errors }) => errors.size > 0);
  if (failed || contest.missing.some((line) => line.startsWith(atpatch.name))) process.exitCode = 1;
} finally {
  await contest.end();
}

function conditions(): string[] {
  const { connections, threads, batch, rounds, seconds } = options;
  const batching =
    batch > 1 ? `up to ${batch} samples share a run where a server can do that` : "no batching";
  return [
    `${cpus().length} × ${cpus()[0]?.model}, load average ${busy} before; Node ${process.versions.node}, onnxruntime-node ${runtime.version}`,
    `${rounds} rounds of ${seconds} s, ${connections} connections, one sample a request, ${threads} intra-op thread(s) a session, ${batching}`,
    `command: \`${command()}\``,
  ];
}

/** What was typed, less the folders and files of this machine. */
function command(): string {
  const given = program.options.filter(
    (option) =>
      program.getOptionValueSource(option.attributeName()) === "cli" &&
      !["venvs", "out", "models"].includes(option.attributeName()),
  );
  const flags = given.map(
    (option) => `${option.long} ${String(program.getOptionValue(option.attributeName()))}`,
  );
  return ["npm run peers", ...(flags.length > 0 ? ["--"] : []), ...flags].join(" ");
}
