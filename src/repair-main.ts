/** Entry of the process that makes a detector; compose-repair.ts starts it and listens to it. */
import { setPriority } from "node:os";
import { dirname } from "node:path";
import { openEngine } from "./compose-engine.ts";
import type { RepairMessage, RepairStart } from "./compose-repair.ts";
import { instrument } from "./hotfix/instrument.ts";
import { sha256 } from "./shared/digest.ts";
import { AtPatchError, messageOf } from "./shared/errors.ts";
import { createTask } from "./tasks/create-task.ts";
import { readModelFile } from "./tasks/model-file.ts";
import { readModelFolder } from "./tasks/model-folder.ts";
import { debugSetLimits, readDebugSet, type DebugSample } from "./training/debug-set.ts";
import { referenceTaps } from "./training/reference.ts";
import { train } from "./training/train.ts";
import { packageVersion } from "./version.ts";

/** A set that unpacks to more than this is refused: the server's own limit holds for what was sent only. */
const mostBytes = 512 * 2 ** 20;
/** Least time between two reports of one stage, in milliseconds. */
const reportEvery = 250;
/** Below everything that serves. */
const priority = 10;

// The server has gone: nobody wants the result.
process.once("disconnect", () => process.exit(1));
process.once("message", (start: RepairStart) => {
  repair(start)
    .catch((error: unknown): RepairMessage => {
      const code = error instanceof AtPatchError ? error.code : "ATPATCH_INTERNAL";
      return { kind: "failed", code, message: messageOf(error) };
    })
    .then((end) => process.send!(end, () => process.disconnect()))
    .catch(() => process.exit(1));
});

async function repair({ folder: path, debugSets, options, workers }: RepairStart): Promise<RepairMessage> {
  setPriority(priority);
  const folder = await readModelFolder(path);
  const patched = instrument(await readModelFile(folder.model.absolute), { taps: referenceTaps });
  const task = await createTask(folder, patched.description);
  const samples = await readSets(debugSets, task.labels.length);
  const failing = samples.filter(({ set }) => set === "failing").length;
  tell({ kind: "accepted", failing, clean: samples.length - failing });
  const engine = await openEngine(patched, dirname(folder.model.absolute), {
    workers,
    threads: 1,
    queue: 256,
    deadlineMs: 3_600_000,
    recheck: true,
  });
  try {
    const { bundle } = await train(engine, task, samples, {
      ...options,
      provenance: {
        tool: `atpatch ${packageVersion()}`,
        model: folder.name,
        debug_set: `sha256-${sha256(...debugSets)}`,
      },
      progress: reporter(),
    });
    return { kind: "done", bundle };
  } finally {
    await engine.close();
  }
}

/** @throws AtPatchError ATPATCH_BAD_DEBUG_SET */
async function readSets(sets: readonly Uint8Array[], labels: number): Promise<DebugSample[]> {
  const samples: DebugSample[] = [];
  const ids = new Set<string>();
  for (const set of sets) {
    const limits = { ...debugSetLimits, bytes: mostBytes };
    for (const sample of await readDebugSet(whole(set), { limits, ...(labels > 0 && { labels }) })) {
      if (ids.has(sample.id))
        throw new AtPatchError("ATPATCH_BAD_DEBUG_SET", `debug set: id "${sample.id}" is in both sets`);
      ids.add(sample.id);
      samples.push(sample);
    }
  }
  if (samples.length === 0)
    throw new AtPatchError("ATPATCH_BAD_DEBUG_SET", "debug set: the set holds no samples");
  return samples;
}

async function* whole(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Reports every stage, and its steps now and then. */
function reporter(): (stage: string, done: number, all: number) => void {
  let last = { stage: "", at: 0 };
  return (stage, done, all) => {
    const now = performance.now();
    if (stage === last.stage && done < all && now - last.at < reportEvery) return;
    last = { stage, at: now };
    tell({ kind: "progress", stage, done, all });
  };
}

function tell(message: RepairMessage): void {
  process.send!(message);
}
