/** A Python environment for each peer, in a folder that is kept from run to run. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Folder of a peer's files. */
export function peerFolder(key: string): string {
  return fileURLToPath(new URL(key, import.meta.url));
}

/**
 * The Python of a peer's environment; made anew when its pins have changed.
 * @param folder where the environments are kept
 * @param ended gives up
 * @throws Error with the last words of the tool that failed
 */
export async function preparePython(folder: string, key: string, ended: AbortSignal): Promise<string> {
  const pins = join(peerFolder(key), "requirements.txt");
  const environment = join(folder, key);
  const python = join(environment, "bin", "python");
  const marker = join(environment, "installed.txt");
  const wanted = await readFile(pins, "utf8");
  if ((await readFile(marker, "utf8").catch(() => null)) === wanted) return python;
  process.stderr.write(`setting up ${key}\n`);
  await rm(environment, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  if (await output("uv", ["--version"], ended).catch(() => null)) {
    await output("uv", ["venv", "--quiet", environment], ended);
    await output("uv", ["pip", "install", "--quiet", "--python", python, "-r", pins], ended);
  } else {
    await output("python3", ["-m", "venv", environment], ended);
    await output(python, ["-m", "pip", "install", "--quiet", "-r", pins], ended);
  }
  await writeFile(marker, wanted);
  return python;
}

/** Versions of packages, and of Python itself, as "name version". */
export async function versions(python: string, packages: readonly string[]): Promise<string> {
  const script =
    "import sys, platform, importlib.metadata as m\n" +
    "print(', '.join([f'{p} {m.version(p)}' for p in sys.argv[1:]] + [f'Python {platform.python_version()}']))";
  return (await output(python, ["-c", script, ...packages])).trim();
}

/** Runs a command to its end. @returns what it printed @throws Error with its last words unless it ends well */
async function output(command: string, args: readonly string[], ended?: AbortSignal): Promise<string> {
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    ...(ended && { signal: ended }),
  });
  const [printed, complained] = [[] as Buffer[], [] as Buffer[]];
  child.stdout.on("data", (chunk: Buffer) => printed.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => complained.push(chunk));
  const [code] = (await once(child, "close")) as [number | null];
  if (code === 0) return Buffer.concat(printed).toString();
  const words = Buffer.concat(complained).toString().trim().split("\n").slice(-2).join(" ");
  throw new Error(`${command} ${args.slice(0, 3).join(" ")}: ${words || `exit ${code}`}`);
}
