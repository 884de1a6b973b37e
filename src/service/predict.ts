/** Predictions: instances as users send them in, labels with what the hot-fix did out. */
import type { Mode } from "../shared/patched-model.ts";
import { AtPatchError } from "../shared/errors.ts";
import type { Prediction } from "../tasks/task.ts";
import { attentionMasses, sampleAttention, type SampleAttention } from "./attention-mass.ts";
import type { Call } from "./call.ts";
import { flaggedColumns, type FlaggedColumn } from "./columns.ts";
import type { ModelTable, ServedModel } from "./models.ts";
import type { ServiceObserver } from "./observer.ts";
import { keptColumns, keptFeatures } from "./recording.ts";
import type { PatchedRun, PatchedRunner } from "./run.ts";
import { stopwatch, type Timings } from "./timings.ts";

export interface PredictRequest {
  readonly instances: readonly unknown[];
  readonly mode?: Mode | undefined;
  /** Labels to list with their probabilities, best first; 5 when absent. */
  readonly topK?: number | undefined;
  readonly explain?: boolean | undefined;
}

export interface PatchedPrediction extends Prediction {
  readonly mode: Mode;
  readonly triggered: boolean;
  /** Detection failed and the policy let the unpatched answer out. */
  readonly failedOpen: boolean;
  readonly columns: readonly FlaggedColumn[];
  /** Attention on every column, when an explanation was asked for. */
  readonly attention?: SampleAttention;
}

export interface PredictAnswer {
  readonly model: string;
  readonly predictions: readonly PatchedPrediction[];
  readonly detector: string | null;
  readonly revision: number;
  readonly triggered: number;
  readonly timings: Timings;
}

export class PredictService {
  readonly #models: ModelTable;
  readonly #runner: PatchedRunner;
  readonly #observer: ServiceObserver;

  constructor(models: ModelTable, runner: PatchedRunner, observer: ServiceObserver) {
    this.#models = models;
    this.#runner = runner;
    this.#observer = observer;
  }

  /**
   * @param name the model, or null for the default one
   * @throws AtPatchError ATPATCH_UNKNOWN_MODEL, ATPATCH_BAD_INPUT and ATPATCH_UNPROCESSABLE naming the instance, and what the engine throws
   */
  async predict(name: string | null, request: PredictRequest, call: Call): Promise<PredictAnswer> {
    const model = name === null ? this.#models.fallback : this.#models.get(name);
    checkRequest(model, request);
    const decoded = stopwatch();
    const prepared = await model.task.prepare(request.instances);
    this.#stage(model, "decode", decoded(), call);

    const run = await this.#runner.run(
      model,
      { inputs: prepared.inputs, batch: prepared.batch, mode: request.mode, explain: request.explain },
      call,
    );

    const encoded = stopwatch();
    const { flags, outputs } = run.result;
    const { sites } = model.engine.description;
    const masses = request.explain === true ? attentionMasses(sites, run.result) : null;
    const predictions = model.task
      .predict(outputs, prepared.batch, request.topK ?? 5)
      .map((prediction, sample): PatchedPrediction => ({
        ...prediction,
        mode: run.mode,
        triggered: run.triggered[sample]!,
        failedOpen: run.failedOpen,
        columns: flaggedColumns(sample, {
          flags,
          forced: run.result.forced,
          sites,
          masses,
          locate: (column) => prepared.locate(sample, column),
        }),
        ...(masses && {
          attention: sampleAttention(masses, sites, sample, (column) => prepared.locate(sample, column)),
        }),
      }));
    this.#stage(model, "encode", encoded(), call);
    if (model.recorder.records && call.id !== undefined)
      record(model, call.id, request.instances, run, predictions);
    return {
      model: model.name,
      predictions,
      detector: run.detector,
      revision: run.revision,
      triggered: run.triggered.filter(Boolean).length,
      timings: { queueMs: run.result.queueMs, inferMs: run.result.inferMs },
    };
  }

  #stage(model: ServedModel, stage: "decode" | "encode", milliseconds: number, call: Call): void {
    call.trace?.part(stage, milliseconds);
    model.statistics.stage(stage, milliseconds);
    this.#observer.stage(model.name, stage, milliseconds);
  }
}

function record(
  { recorder }: ServedModel,
  request: string,
  instances: readonly unknown[],
  { detector, result }: PatchedRun,
  predictions: readonly PatchedPrediction[],
): void {
  for (const [
    sample,
    { failedOpen: _, attention: __, columns: flagged, ...prediction },
  ] of predictions.entries()) {
    const columns = keptColumns(flagged);
    const features = keptFeatures(result, sample, columns);
    recorder.record({
      ...prediction,
      request,
      sample,
      detector,
      columns,
      features,
      instance: instances[sample],
    });
  }
}

function checkRequest(model: ServedModel, { instances }: PredictRequest): void {
  if (instances.length === 0) {
    throw new AtPatchError("ATPATCH_BAD_INPUT", "instances: expected at least one instance, got none");
  }
  if (instances.length > model.maxInstances) {
    const what = `instances: at most ${model.maxInstances} fit into one request, got ${instances.length}`;
    throw new AtPatchError("ATPATCH_UNPROCESSABLE", what);
  }
}
