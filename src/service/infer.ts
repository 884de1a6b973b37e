/** Raw tensors in, raw tensors out: what the Open Inference Protocol asks for, free of its encodings. */
import type { RunResult } from "../engine/engine.ts";
import type { Mode } from "../shared/patched-model.ts";
import type { AnyTensor } from "../shared/tensor.ts";
import { attentionMasses } from "./attention-mass.ts";
import type { Call } from "./call.ts";
import { classify } from "./classification.ts";
import { checkInputs, checkOutputs } from "./infer-checks.ts";
import type { InferParameters } from "./infer-parameters.ts";
import type { ModelTable, ServedModel } from "./models.ts";
import type { ServiceObserver } from "./observer.ts";
import type { PatchedRunner } from "./run.ts";
import { stopwatch, type Timings } from "./timings.ts";

export interface NamedTensor {
  readonly name: string;
  readonly tensor: AnyTensor;
}

export interface WantedOutput {
  readonly name: string;
  /** Answer with the largest so many values as classes instead of the tensor. */
  readonly classes?: number | undefined;
}

export interface InferRequest {
  readonly inputs: readonly NamedTensor[];
  /** Outputs wanted, in this order; all when absent or empty. */
  readonly outputs?: readonly WantedOutput[] | undefined;
  readonly parameters: InferParameters;
}

export interface InferAnswer {
  readonly model: string;
  readonly version: string;
  readonly outputs: readonly NamedTensor[];
  readonly detector: string | null;
  readonly revision: number;
  readonly mode: Mode;
  /** Per sample: whether a column was flagged. */
  readonly triggered: readonly boolean[];
  readonly timings: Timings;
}

/** What an answer says of the hot-fix, in every protocol. */
export function answerParameters({ detector, mode, triggered, revision }: InferAnswer) {
  return {
    atpatch_detector: detector ?? "none",
    atpatch_mode: mode,
    atpatch_triggered: triggered.map(Number).join(","),
    atpatch_revision: revision,
  };
}

/** How a protocol writes requests and answers. */
export interface InferCodec<T> {
  /** @throws AtPatchError ATPATCH_BAD_INPUT, ATPATCH_UNPROCESSABLE */
  decode(model: ServedModel): InferRequest;
  /** @throws AtPatchError ATPATCH_UNPROCESSABLE for what it cannot carry */
  encode(answer: InferAnswer): T | Promise<T>;
}

export class InferService {
  readonly #models: ModelTable;
  readonly #runner: PatchedRunner;
  readonly #observer: ServiceObserver;

  constructor(models: ModelTable, runner: PatchedRunner, observer: ServiceObserver) {
    this.#models = models;
    this.#runner = runner;
    this.#observer = observer;
  }

  /**
   * @throws AtPatchError ATPATCH_UNKNOWN_MODEL; ATPATCH_BAD_INPUT for names; ATPATCH_UNPROCESSABLE for datatypes and
   *   shapes the model cannot take; what the codec and the engine throw
   */
  async infer<T>(name: string, version: string | undefined, codec: InferCodec<T>, call: Call): Promise<T> {
    const model = this.#models.get(name, version);
    const decoded = stopwatch();
    const { inputs, outputs: wanted, parameters } = codec.decode(model);
    const { tensors, batch } = checkInputs(model, inputs);
    const outputs = checkOutputs(model, wanted);
    this.#stage(model, "decode", decoded(), call);

    const { mode, explain, timeoutMs } = parameters;
    const run = await this.#runner.run(
      model,
      { inputs: tensors, batch, outputs: outputs.map((output) => output.name), mode, explain },
      timeoutMs === undefined ? call : withTimeout(call, timeoutMs),
    );

    const encoded = stopwatch();
    const answer = await codec.encode({
      model: model.name,
      version: model.version,
      outputs: [
        ...outputs.map((output) => outputOf(model, output, run.result)),
        ...(explain === true ? massOutputs(model, run.result) : []),
      ],
      detector: run.detector,
      revision: run.revision,
      mode: run.mode,
      triggered: run.triggered,
      timings: { queueMs: run.result.queueMs, inferMs: run.result.inferMs },
    });
    this.#stage(model, "encode", encoded(), call);
    return answer;
  }

  #stage(model: ServedModel, stage: "decode" | "encode", milliseconds: number, call: Call): void {
    call.trace?.part(stage, milliseconds);
    model.statistics.stage(stage, milliseconds);
    this.#observer.stage(model.name, stage, milliseconds);
  }
}

function withTimeout(call: Call, timeoutMs: number): Call {
  return { ...call, deadline: Math.min(call.deadline ?? Infinity, call.startedAt + timeoutMs) };
}

/** An output as it is wanted. */
function outputOf(model: ServedModel, { name, classes }: WantedOutput, { outputs }: RunResult): NamedTensor {
  const tensor = outputs[name]!;
  if (classes === undefined) return { name, tensor };
  const info = model.engine.description.outputs.find((output) => output.name === name)!;
  const samples = info.shape[0] === null ? tensor.shape[0]! : null;
  return { name, tensor: classify(tensor, { classes, samples, labels: model.task.labels }) };
}

/** What explains an answer: attention per key column before and after the patch, two outputs [batch, keys] a site. */
function massOutputs(model: ServedModel, result: RunResult): InferAnswer["outputs"] {
  return attentionMasses(model.engine.description.sites, result).flatMap(({ site, before, after }) => [
    { name: `atpatch.mass.before.${site}`, tensor: before },
    { name: `atpatch.mass.after.${site}`, tensor: after },
  ]);
}
