/** One run of a patched model on behalf of a request: mode, detector, engine, counts. Shared by all protocols. */
import type { DetectorLease } from "../detector/registry.ts";
import type { RunOptions, RunResult } from "../engine/engine.ts";
import { AtPatchError } from "../shared/errors.ts";
import { modeCodes, type Mode } from "../shared/patched-model.ts";
import type { Tensor } from "../shared/tensor.ts";
import { flaggedColumns, isTriggered } from "../shared/triggered.ts";
import { canaryKey, effectiveMode, type Call, type CallRules } from "./call.ts";
import type { ServedModel } from "./models.ts";
import type { ServiceObserver } from "./observer.ts";

export interface PatchedRun {
  readonly result: RunResult;
  readonly mode: Mode;
  /** Detection failed and the policy let the unpatched answer out. */
  readonly failedOpen: boolean;
  readonly detector: string | null;
  readonly revision: number;
  /** Per sample: whether a column was flagged. */
  readonly triggered: readonly boolean[];
}

export interface RunInput {
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly batch: number;
  readonly mode?: Mode | undefined;
  readonly outputs?: readonly string[] | undefined;
  /** Return the attention maps as well; slower, and for a few samples only. */
  readonly explain?: boolean | undefined;
}

export class PatchedRunner {
  readonly #rules: CallRules;
  readonly #observer: ServiceObserver;

  constructor(rules: CallRules, observer: ServiceObserver) {
    this.#rules = rules;
    this.#observer = observer;
  }

  /**
   * Runs the model with the detector that the request gets now, whatever is activated meanwhile.
   * @throws AtPatchError what {@link effectiveMode} and the engine throw
   */
  async run(model: ServedModel, input: RunInput, call: Call): Promise<PatchedRun> {
    const lease = model.registry.lease(canaryKey(call));
    try {
      const { detector, role, policy, revision, shadow } = lease.value;
      const mode = effectiveMode(policy.mode, input.mode, call, this.#rules);
      const runner = input.explain === true ? model.explainer : model.engine;
      const reported = reportedSites(lease.value, model.recorder.records);
      const attention = model.recorder.records || (shadow?.attention ?? false);
      const attempt = (as: Mode, by: string | null): Promise<RunResult> =>
        runner.run(
          {
            inputs: input.inputs,
            batch: input.batch,
            modes: new Int32Array(input.batch).fill(modeCodes[as]),
            detector: by,
            ...(reported.length > 0 && { report: reported, attention }),
            ...(input.outputs && { outputs: input.outputs }),
          },
          optionsOf(model, call),
        );
      let failedOpen = false;
      const result = await attempt(mode, detector).catch(async (error: unknown) => {
        if (detector === null || mode === "off" || policy.onError === "closed" || !mayBeDetection(error))
          throw error;
        // The first error is the one to tell when the model fails without the detector as well.
        const unpatched = await attempt("off", null).catch(() => Promise.reject(error as Error));
        failedOpen = true;
        return unpatched;
      });
      if (failedOpen) this.#observer.failedOpen(model.name);
      const run: PatchedRun = {
        result,
        mode: failedOpen ? "off" : mode,
        failedOpen,
        detector,
        revision,
        triggered: Array.from({ length: input.batch }, (_, sample) => isTriggered(result, sample)),
      };
      this.#report(model, run, call);
      model.watch.answered({
        ...run,
        role,
        shadow,
        typical: mode === policy.mode && !failedOpen,
        inputs: input.inputs,
        outputs: result.outputs,
        complete:
          input.outputs === undefined || input.outputs.length === model.engine.description.outputs.length,
        reports: result.reports ?? [],
      });
      return run;
    } catch (error) {
      model.statistics.failed(performance.now() - call.startedAt);
      throw error;
    } finally {
      lease.release();
    }
  }

  #report(model: ServedModel, run: PatchedRun, call: Call): void {
    const triggered = run.triggered.filter(Boolean).length;
    const report = {
      model: model.name,
      detector: run.detector,
      mode: run.mode,
      samples: run.triggered.length,
      triggered,
      flagged: triggered > 0 ? flaggedColumns(run.result) : nothingFlagged,
    };
    model.counters.add(report);
    model.statistics.answered({
      samples: report.samples,
      queueMs: run.result.queueMs,
      inferMs: run.result.inferMs,
      totalMs: performance.now() - call.startedAt,
    });
    this.#observer.answered(report);
    this.#observer.stage(model.name, "queue", run.result.queueMs);
    this.#observer.stage(model.name, "infer", run.result.inferMs);
    tracePasses(run.result, call);
  }
}

const nothingFlagged: ReadonlyMap<number, number> = new Map();

/** The run as it went: waiting, the passes, and of these the second one where a sample needed it. */
function tracePasses({ queueMs, inferMs, recheckMs = 0, rechecked }: RunResult, { trace }: Call): void {
  trace?.part("queue", queueMs, inferMs);
  trace?.part("infer", inferMs);
  if (rechecked.length > 0) trace?.part("recheck", recheckMs);
}

/** Sites whose features somebody needs: the shadow, and the recorder, which keeps those of flagged columns. */
function reportedSites({ role, shadow, bundle }: DetectorLease, records: boolean): number[] {
  const scored = role === "active" ? (shadow?.sites ?? []) : [];
  return [...new Set([...scored, ...(records ? (bundle?.detectionSites ?? []) : [])])];
}

function optionsOf(model: ServedModel, call: Call): RunOptions {
  const deadline = Math.min(call.startedAt + model.deadlineMs, call.deadline ?? Infinity);
  const client = call.principal?.name ?? call.address;
  return { deadline, ...(call.signal && { signal: call.signal }), ...(client !== undefined && { client }) };
}

/** A failure that the detector may have caused; a crash, a full queue or a passed deadline is none that trying again helps. */
function mayBeDetection(error: unknown): boolean {
  return error instanceof AtPatchError && error.code === "ATPATCH_UNPROCESSABLE";
}
