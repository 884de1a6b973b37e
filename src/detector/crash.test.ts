import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { buildCrashChild, crash } from "../test/crash.ts";

// A process is started for each kill.
vi.setConfig({ testTimeout: 120_000 });

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "atpatch-crash-"));
});
afterAll(() => rm(folder, { recursive: true }));

it("loses nothing that was acknowledged, wherever the process is killed", async () => {
  const report = await crash(await buildCrashChild(folder), join(folder, "state"), 12, Math.random);
  expect(report.faults).toEqual([]);
  expect(report.kills).toBe(12);
  expect(report.acknowledged).toBeGreaterThan(10);
  expect(report.entries).toBeGreaterThan(10);
});
