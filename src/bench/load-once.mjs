// Loads one model and prints time and peak memory. Plain JavaScript over the build: a loader would count as ours.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { InferenceSession } from "onnxruntime-node";
import { openEngine } from "../../dist/compose-engine.js";
import { instrument } from "../../dist/hotfix/instrument.js";
import { readModelFile } from "../../dist/tasks/model-file.js";

const [kind, file] = process.argv.slice(2);
const began = performance.now();
if (kind === "bare") {
  await InferenceSession.create(file, { intraOpNumThreads: 1, interOpNumThreads: 1 });
} else {
  const patched = instrument(await readModelFile(file));
  await openEngine(patched, join(file, ".."), {
    workers: 1,
    threads: 1,
    queue: 4,
    deadlineMs: 60_000,
    recheck: true,
  });
}
const ms = performance.now() - began;
// VmHWM and not maxrss: the latter is inherited from the process that started this one.
const peakKiB = Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? NaN);
process.stdout.write(JSON.stringify({ ms, peakMiB: peakKiB / 1024 }), () => process.exit(0));
