/** Tries a detector out on the model it is for, before it may be stored. */
import type { BundleMetadata } from "../detector/bundle.ts";
import type { InferenceEngine, RunResult } from "../engine/engine.ts";
import { AtPatchError, messageOf } from "../shared/errors.ts";
import { modeCodes, type Mode } from "../shared/patched-model.ts";
import { isTriggered } from "../shared/triggered.ts";
import type { GoldenReport } from "./golden-test.ts";
import { isTouched, sameSample } from "./same-sample.ts";
import type { TypedArray } from "../shared/tensor.ts";
import { madeUpInputs } from "./made-up-inputs.ts";

/** What the self-test saw. */
export interface SelfTestReport extends Record<string, unknown> {
  /** False when the model does not take made-up inputs; nothing is known about the detector then. */
  readonly ran: boolean;
  readonly reason?: string;
  readonly samples?: number;
  /** Made-up samples in which a column was flagged. */
  readonly flagged?: number;
  /** Samples that are bit-identical to the unpatched answer, as every unflagged one must be. */
  readonly identical?: number;
  /** What was seen on the clean samples that come with the model; absent when there are none. */
  readonly golden?: GoldenReport;
}

const samples = 4;

/**
 * Runs made-up samples without and with the detector.
 * @throws AtPatchError ATPATCH_SELF_TEST when the graph cannot run with it, an output is not finite, or an unflagged
 *   sample is changed
 */
export async function selfTest(
  engine: InferenceEngine,
  id: string,
  metadata: Pick<BundleMetadata, "keys">,
): Promise<SelfTestReport> {
  const inputs = madeUpInputs(engine.description.inputs, samples, metadata.keys);
  if (inputs === null) return { ran: false, reason: "an input of the model takes text" };
  const batch = engine.description.inputs.find(({ shape }) => shape[0] === null) ? samples : 1;
  const run = (mode: Mode, detector: string | null): Promise<RunResult> =>
    engine.run({ inputs, batch, modes: new Int32Array(batch).fill(modeCodes[mode]), detector });

  let plain: RunResult;
  try {
    plain = await run("off", null);
  } catch (error) {
    return { ran: false, reason: `the model does not take made-up inputs: ${messageOf(error)}` };
  }
  const [observed, enforced] = await Promise.all([run("observe", id), run("enforce", id)]).catch(
    (error: unknown) => {
      throw failure(`the model does not run with it: ${messageOf(error)}`, error);
    },
  );
  checkFinite(plain, enforced);
  let flagged = 0;
  let identical = 0;
  for (let sample = 0; sample < batch; sample += 1) {
    if (!sameSample(plain, observed, sample, batch)) throw failure("it changes answers in observe mode");
    const same = sameSample(plain, enforced, sample, batch);
    if (!same && !isTouched(enforced, sample))
      throw failure("it changes a sample in which nothing was flagged");
    flagged += Number(isTriggered(enforced, sample));
    identical += Number(same);
  }
  return { ran: true, samples: batch, flagged, identical };
}

function failure(what: string, cause?: unknown): AtPatchError {
  return new AtPatchError("ATPATCH_SELF_TEST", `the detector failed its self-test: ${what}`, { cause });
}

/** Where the unpatched output is finite, the patched one must be as well. */
function checkFinite(plain: RunResult, patched: RunResult): void {
  for (const [name, { data }] of Object.entries(patched.outputs)) {
    const before = numbers(plain.outputs[name]!.data);
    const broken = numbers(data).some((value, at) => !Number.isFinite(value) && Number.isFinite(before[at]));
    if (broken) throw failure(`output "${name}" is not finite`);
  }
}

function numbers(data: TypedArray): number[] {
  return Array.from(data as Iterable<number | bigint>, Number);
}
