/**
 * One process at a time on a state folder. The lock is a file that names its holder; a holder that has died, be it by kill
 * -9, loses it to the next that asks.
 */
import { createHash, randomUUID } from "node:crypto";
import { link, mkdir, readFile, rm, stat, unlink, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { AtPatchError } from "../shared/errors.ts";

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** When the process started, as the system counts it: the same number may be given to another process later. */
  readonly started: string | null;
}

/** How often a holder shows that it lives, and after how long a silent one on another machine is taken for dead. */
const beatMs = 10_000;
const silentMs = 60_000;

export interface StateLock {
  release(): Promise<void>;
}

/**
 * Takes the lock of a folder, which is made when missing.
 * @throws AtPatchError ATPATCH_BAD_SETTINGS when a living process has it
 */
export async function lockState(root: string): Promise<StateLock> {
  await mkdir(root, { recursive: true, mode: 0o700 });
  const path = join(root, "lock");
  const mine = JSON.stringify({
    pid: process.pid,
    host: hostname(),
    started: await startOf(process.pid),
    key: randomUUID(),
  });
  if (await acquire(path, mine)) return hold(path, mine);
  throw taken(root, (await textOf(path)) ?? "");
}

/** Makes the file unless a living process has it. */
async function acquire(path: string, mine: string): Promise<boolean> {
  for (let attempt = 0; attempt < 5; attempt++) {
    if (await create(path, mine)) return true;
    const found = await textOf(path);
    if (found === null) continue;
    if (await isAlive(found, path)) return false;
    await displace(path, found, mine);
  }
  return false;
}

/** Makes the file with its content in one step; false when it is there. */
async function create(path: string, text: string): Promise<boolean> {
  const draft = `${path}.${randomUUID()}`;
  await writeFile(draft, text, { flag: "wx", mode: 0o600 });
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  } finally {
    await unlink(draft);
  }
}

/**
 * Removes a dead holder's file. Only who has the claim to that very holder's end may: nobody then removes what somebody else has
 * made in its place meanwhile. A claim is a lock like any other, so a claimant that has died loses it too.
 */
async function displace(path: string, dead: string, mine: string): Promise<void> {
  const claim = `${path}.${createHash("sha256").update(dead).digest("hex")}`;
  if (!(await acquire(claim, mine))) return sleep(10);
  try {
    if ((await textOf(path)) === dead) await unlink(path);
  } finally {
    await unlink(claim);
  }
}

function hold(path: string, mine: string): StateLock {
  const timer = setInterval(() => {
    const now = new Date();
    void utimes(path, now, now).catch(() => {});
  }, beatMs);
  timer.unref();
  return {
    release: async () => {
      clearInterval(timer);
      if ((await textOf(path)) === mine) await rm(path, { force: true });
    },
  };
}

async function isAlive(text: string, path: string): Promise<boolean> {
  const holder = parse(text);
  if (holder === null) return false;
  if (holder.host !== hostname()) {
    const beat = await stat(path).catch(() => null);
    return beat !== null && Date.now() - beat.mtimeMs < silentMs;
  }
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    // Somebody else's process may not be signalled, but it lives.
    if (!(error instanceof Error && "code" in error && error.code === "EPERM")) return false;
  }
  return holder.started === (await startOf(holder.pid));
}

function parse(text: string): Holder | null {
  try {
    const { pid, host, started } = JSON.parse(text) as Partial<Holder>;
    if (typeof pid !== "number" || typeof host !== "string") return null;
    return { pid, host, started: started ?? null };
  } catch {
    return null;
  }
}

/** Start of a process in clock ticks since the machine started; null where the system does not tell. */
async function startOf(pid: number): Promise<string | null> {
  const line = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  // The name of the program stands in brackets and may hold anything; the start is the 20th field after it.
  return line.slice(line.lastIndexOf(")") + 2).split(" ")[19] ?? null;
}

async function textOf(path: string): Promise<string | null> {
  return readFile(path, "utf8").catch(() => null);
}

function taken(root: string, text: string): AtPatchError {
  const holder = parse(text);
  const who = holder === null ? "another process" : `process ${holder.pid} on ${holder.host}`;
  return new AtPatchError(
    "ATPATCH_BAD_SETTINGS",
    `ATPATCH_STATE "${root}" is in use by ${who}: stop it first, or choose another folder`,
  );
}
