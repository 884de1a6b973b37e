/** Kills a process in the middle of its changes, again and again, and looks at what it left behind. */
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { build } from "esbuild";
import { fileURLToPath } from "node:url";
import { bundleId } from "../detector/bundle.ts";
import { FileStore } from "../detector/file-store.ts";
import type { ControlState } from "../detector/control-log.ts";
import { verifyLog } from "../detector/verify-log.ts";
import type { Acknowledged } from "./crash-child.ts";

export interface CrashReport {
  kills: number;
  /** Changes that were acknowledged before a kill. */
  acknowledged: number;
  /** Changes that were durable although their acknowledgement did not come out any more. */
  unacknowledged: number;
  /** Entries of the history in the end. */
  entries: number;
  /** What was lost or broken, a sentence each. */
  readonly faults: string[];
}

/** The process to be killed as one file, so that it starts quickly. */
export async function buildCrashChild(folder: string): Promise<string> {
  const outfile = join(folder, "crash-child.mjs");
  const entryPoints = [fileURLToPath(new URL("crash-child.ts", import.meta.url))];
  await build({ entryPoints, outfile, bundle: true, platform: "node", format: "esm", logLevel: "error" });
  return outfile;
}

/**
 * @param child what {@link buildCrashChild} made
 * @param root a new folder
 * @param kills how often to kill
 * @param random a number from 0 to 1 at each call; when to kill is drawn from it
 */
export async function crash(
  child: string,
  root: string,
  kills: number,
  random: () => number,
): Promise<CrashReport> {
  const report: CrashReport = { kills: 0, acknowledged: 0, unacknowledged: 0, entries: 0, faults: [] };
  const stored = new Set<string>();
  let last: Acknowledged["state"] | null = null;
  for (let round = 0; round < kills; round++) {
    const lines = await runAndKill([child, root, String(round * 7919 + 1)], random() * 120);
    report.kills++;
    report.acknowledged += lines.length;
    for (const { did, detector, state } of lines) {
      if (did === "uploaded") stored.add(detector!);
      if (did === "removed") stored.delete(detector!);
      if (did === "started" && last !== null && state.revision < last.revision)
        report.faults.push(
          `round ${round}: started at revision ${state.revision}, ${last.revision} was acknowledged`,
        );
      last = state;
    }
    await inspect(root, round, { last, stored, report });
  }
  return report;
}

async function runAndKill(args: readonly string[], afterMs: number): Promise<Acknowledged[]> {
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise((resolve) => child.once("close", resolve));
  let text = "";
  let failure = "";
  let running = (): void => {};
  const started = new Promise<void>((resolve) => (running = resolve));
  child.stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString();
    running();
  });
  child.stderr.on("data", (chunk: Buffer) => (failure += chunk.toString()));
  await Promise.race([started, ended]);
  await Promise.race([sleep(afterMs), ended]);
  child.kill("SIGKILL");
  await ended;
  if (failure !== "") throw new Error(`the process failed before it was killed:\n${failure}`);
  // A line that was cut off was not acknowledged.
  return text
    .slice(0, text.lastIndexOf("\n") + 1)
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Acknowledged);
}

async function inspect(
  root: string,
  round: number,
  { last, stored, report }: { last: Acknowledged["state"] | null; stored: Set<string>; report: CrashReport },
): Promise<void> {
  const fault = (what: string): void => void report.faults.push(`round ${round}: ${what}`);
  try {
    const verified = verifyLog(await readFile(join(root, "signs", "control.jsonl")));
    report.entries = verified.entries;
    const store = await FileStore.open({ root, model: "signs" });
    try {
      const newest = await store.last();
      if (last !== null) {
        const revision = newest?.revision ?? 0;
        if (revision < last.revision) fault(`revision ${revision}, but ${last.revision} was acknowledged`);
        if (revision > last.revision + 1)
          fault(`revision ${revision} is two changes past the acknowledged ${last.revision}`);
        if (revision === last.revision + 1) report.unacknowledged++;
        if (revision === last.revision && newest !== null && !isSame(newest.after, last))
          fault("another state than the acknowledged one");
      }
      const found = new Set((await store.list()).map(({ id }) => id));
      for (const id of found) if (bundleId(await store.get(id)) !== id) fault(`detector ${id} is damaged`);
      const { active, policy } = newest?.after ?? { active: null, policy: null };
      for (const id of [active, policy?.shadow, policy?.canary?.detector]) {
        if (typeof id === "string" && !found.has(id)) fault(`detector ${id} has a role, but is not stored`);
      }
      // The last removal may have happened without being acknowledged.
      const lost = [...stored].filter((id) => !found.has(id));
      const removed = newest?.action === "removed" ? newest.detector : null;
      for (const id of lost) {
        if (id !== removed) fault(`detector ${id} was acknowledged and is gone`);
        stored.delete(id);
      }
    } finally {
      await store.close();
    }
  } catch (error) {
    fault(`the store cannot be read: ${String(error)}`);
  }
}

function isSame(a: ControlState, { active, previous, policy }: ControlState): boolean {
  return (
    a.active === active && a.previous === previous && JSON.stringify(a.policy) === JSON.stringify(policy)
  );
}
