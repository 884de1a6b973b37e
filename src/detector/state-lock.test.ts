import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { lockState, type StateLock } from "./state-lock.ts";

let root: string;
const held: StateLock[] = [];
const lock = async (): Promise<StateLock> => {
  const taken = await lockState(root);
  held.push(taken);
  return taken;
};
const leave = (holder: object | string) =>
  writeFile(join(root, "lock"), typeof holder === "string" ? holder : JSON.stringify(holder));

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "atpatch-lock-"));
});
afterEach(async () => {
  for (const taken of held.splice(0)) await taken.release();
  await rm(root, { recursive: true });
});

describe("the lock of a state folder", () => {
  it("is had by one process at a time, and says which", async () => {
    const first = await lock();
    await expect(lockState(root)).rejects.toMatchObject({ code: "ATPATCH_BAD_SETTINGS" });
    await expect(lockState(root)).rejects.toThrow(
      `is in use by process ${process.pid} on ${hostname()}: stop it first`,
    );
    await first.release();
    await lock();
    // Released twice, it does not take the lock from the next one.
    await first.release();
    await expect(lockState(root)).rejects.toThrow("is in use");
  });

  it.each<[string, () => object | string]>([
    [
      "a process that is gone",
      () => ({ pid: spawnSync(process.execPath, ["-e", ""]).pid, host: hostname(), started: "1" }),
    ],
    [
      "another process that had the number of a living one",
      () => ({ pid: process.pid, host: hostname(), started: "1" }),
    ],
    ["a crash in the middle of writing", () => '{"pid": 1'],
  ])("is taken over from %s", async (_what, holder) => {
    await leave(holder());
    await lock();
    expect(await readdir(root)).toEqual(["lock"]);
    expect(await readFile(join(root, "lock"), "utf8")).toContain(`"pid":${process.pid},`);
  });

  it("is taken over from another machine only when that has been silent for long", async () => {
    await leave({ pid: 1, host: "elsewhere", started: "1" });
    await expect(lockState(root)).rejects.toThrow("is in use by process 1 on elsewhere");
    const old = new Date(Date.now() - 61_000);
    await utimes(join(root, "lock"), old, old);
    await lock();
  });

  it("is had by one of many that come at once after a crash", async () => {
    await leave({ pid: process.pid, host: hostname(), started: "1" });
    const tries = await Promise.allSettled(Array.from({ length: 12 }, () => lock()));
    expect(tries.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(await readdir(root)).toEqual(["lock"]);
  });
});
