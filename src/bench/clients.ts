/**
 * `npm run clients`: real clients of other projects against a running server. Makes a Python environment in a temporary
 * folder, installs the clients there by name, serves the models, and runs `clients.py`.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { composeServer } from "../compose.ts";
import { drain } from "../serve.ts";
import { generateToken } from "../service/tokens.ts";
import { resolveSettings } from "../settings.ts";

const program = new Command("clients")
  .description("Ask a server with tritonclient and KServe's client, over HTTP and gRPC.")
  .option("--models <folder>", "folder of model folders, or one model folder", "models")
  .option("--python <command>", "Python with the clients installed, instead of a new environment")
  .parse();
const { models, python } = program.opts<{ models: string; python?: string }>();
const scratch = await mkdtemp(join(tmpdir(), "atpatch-clients-"));

/** Runs a command to its end; resolves with its exit code. */
async function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<number> {
  const child = spawn(command, args, { stdio: "inherit", env: { ...process.env, ...env } });
  const [code] = (await once(child, "exit")) as [number | null];
  return code ?? 1;
}

/** A Python that has the clients. */
async function environment(): Promise<string> {
  const folder = join(scratch, "python");
  const command = join(folder, "bin", "python");
  const packages = ["tritonclient[http,grpc]", "kserve", "numpy"];
  if ((await run("python3", ["-m", "venv", folder])) !== 0) throw new Error("python3 -m venv failed");
  if ((await run(command, ["-m", "pip", "install", "--quiet", ...packages])) !== 0) {
    throw new Error(`pip install ${packages.join(" ")} failed`);
  }
  return command;
}

try {
  const command = python ?? (await environment());
  const token = generateToken();
  const settings = resolveSettings(
    { models, state: join(scratch, "state"), adminToken: token, logLevel: "warn" },
    {},
  );
  const server = await composeServer(settings);
  try {
    const http = await server.app.listen({ host: "127.0.0.1", port: 0 });
    const grpc = await server.grpc.listen("127.0.0.1", 0);
    const script = fileURLToPath(new URL("clients.py", import.meta.url));
    process.exitCode = await run(command, [script], {
      ATPATCH_HTTP: new URL(http).host,
      ATPATCH_GRPC: `127.0.0.1:${grpc}`,
      ATPATCH_TOKEN: token,
    });
  } finally {
    await drain(server, 0);
  }
} finally {
  await rm(scratch, { recursive: true, force: true });
}
