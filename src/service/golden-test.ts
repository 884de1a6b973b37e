/** Tries a detector out on the clean samples that come with a model: how often it triggers, and what that does to answers. */
import type { InferenceEngine, RunResult } from "../engine/engine.ts";
import { AtPatchError, messageOf } from "../shared/errors.ts";
import { modeCodes, type Mode } from "../shared/patched-model.ts";
import { isTriggered } from "../shared/triggered.ts";
import type { Prepared, Task } from "../tasks/task.ts";
import { isTouched, sameSample } from "./same-sample.ts";

/** A sample of the golden set, as far as it is needed. */
export interface GoldenSample {
  readonly instance: unknown;
  /** True class. */
  readonly label: number;
}

/** What was seen on the golden set. */
export interface GoldenReport {
  /** Why there are no figures. */
  readonly reason?: string;
  readonly samples?: number;
  /** Samples in which a column was flagged, and their share. */
  readonly flagged?: number;
  readonly flag_rate?: number;
  /** Samples that are bit-identical to the unpatched answer. */
  readonly identical?: number;
  /** Samples whose label the patch changes. */
  readonly altered?: number;
  /** Shares of right labels with and without the patch. */
  readonly accuracy?: number;
  readonly accuracy_unpatched?: number;
}

/** Most samples that are run: an upload should not take minutes. */
const mostSamples = 128;
const batchSize = 8;

/**
 * Runs golden samples without and with a published detector.
 * @throws AtPatchError ATPATCH_SELF_TEST when an unflagged sample is changed or a label cannot be read any more
 */
export async function goldenTest(
  engine: InferenceEngine,
  task: Task,
  detector: string,
  read: () => Promise<readonly GoldenSample[]>,
): Promise<GoldenReport> {
  let samples: readonly GoldenSample[];
  try {
    samples = (await read()).slice(0, mostSamples);
  } catch (error) {
    return { reason: `the golden set cannot be read: ${messageOf(error)}` };
  }
  const sums = { flagged: 0, identical: 0, altered: 0, right: 0, rightUnpatched: 0 };
  for (let from = 0; from < samples.length; from += batchSize) {
    const some = samples.slice(from, from + batchSize);
    let plain: RunResult;
    let prepared: Prepared;
    try {
      prepared = await task.prepare(some.map(({ instance }) => instance));
      plain = await run(engine, prepared, "off", null);
    } catch (error) {
      return { reason: `the model does not take the golden set: ${messageOf(error)}` };
    }
    const patched = await run(engine, prepared, "enforce", detector).catch((error: unknown) => {
      throw failure(`the model does not run with it: ${messageOf(error)}`, error);
    });
    const [before, after] = [plain, patched].map(({ outputs }) => task.predict(outputs, some.length, 1));
    for (const [sample, { label }] of some.entries()) {
      const same = sameSample(plain, patched, sample, some.length);
      if (!same && !isTouched(patched, sample))
        throw failure("it changes a golden sample in which nothing was flagged");
      sums.flagged += Number(isTriggered(patched, sample));
      sums.identical += Number(same);
      sums.altered += Number(before![sample]!.index !== after![sample]!.index);
      sums.right += Number(after![sample]!.index === label);
      sums.rightUnpatched += Number(before![sample]!.index === label);
    }
  }
  const count = samples.length;
  return {
    samples: count,
    flagged: sums.flagged,
    flag_rate: sums.flagged / count,
    identical: sums.identical,
    altered: sums.altered,
    accuracy: sums.right / count,
    accuracy_unpatched: sums.rightUnpatched / count,
  };
}

function run(
  engine: InferenceEngine,
  { inputs, batch }: Prepared,
  mode: Mode,
  detector: string | null,
): Promise<RunResult> {
  return engine.run({ inputs, batch, modes: new Int32Array(batch).fill(modeCodes[mode]), detector });
}

function failure(what: string, cause?: unknown): AtPatchError {
  return new AtPatchError("ATPATCH_SELF_TEST", `the detector failed its self-test: ${what}`, { cause });
}
