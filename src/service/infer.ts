/** Raw tensors in, raw tensors out: what the Open Inference Protocol asks for, free of its encodings. */
import type { RunResult } from "../engine/engine.ts";
import { AtPatchError } from "../shared/errors.ts";
import type { Mode } from "../shared/patched-model.ts";
import type { Tensor, TensorInfo } from "../shared/tensor.ts";
import { attentionMasses } from "./attention-mass.ts";
import type { Call } from "./call.ts";
import type { ModelTable, ServedModel } from "./models.ts";
import type { PatchedRunner } from "./run.ts";
import type { Timings } from "./timings.ts";

export interface InferRequest {
  readonly inputs: Readonly<Record<string, Tensor>>;
  /** Outputs wanted, in this order; all when absent. */
  readonly outputs?: readonly string[] | undefined;
  readonly mode?: Mode | undefined;
  readonly explain?: boolean | undefined;
}

export interface InferAnswer {
  readonly model: string;
  readonly version: string;
  readonly outputs: readonly { readonly name: string; readonly tensor: Tensor }[];
  readonly detector: string | null;
  readonly revision: number;
  readonly mode: Mode;
  /** Per sample: whether a column was flagged. */
  readonly triggered: readonly boolean[];
  readonly timings: Timings;
}

export class InferService {
  readonly #models: ModelTable;
  readonly #runner: PatchedRunner;

  constructor(models: ModelTable, runner: PatchedRunner) {
    this.#models = models;
    this.#runner = runner;
  }

  /**
   * @throws AtPatchError ATPATCH_UNKNOWN_MODEL; ATPATCH_BAD_INPUT for names; ATPATCH_UNPROCESSABLE for datatypes and
   *   shapes the model cannot take; what the engine throws
   */
  async infer(
    name: string,
    version: string | undefined,
    request: InferRequest,
    call: Call,
  ): Promise<InferAnswer> {
    const model = this.#models.get(name, version);
    const batch = checkInputs(model, request.inputs);
    const outputs = checkOutputs(model, request.outputs);
    const run = await this.#runner.run(model, { ...request, batch, outputs }, call);
    return {
      model: model.name,
      version: model.version,
      outputs: [
        ...outputs.map((output) => ({ name: output, tensor: run.result.outputs[output]! })),
        ...(request.explain === true ? massOutputs(model, run.result) : []),
      ],
      detector: run.detector,
      revision: run.revision,
      mode: run.mode,
      triggered: run.triggered,
      timings: { queueMs: run.result.queueMs, inferMs: run.result.inferMs },
    };
  }
}

/** What explains an answer: attention per key column before and after the patch, two outputs [batch, keys] a site. */
function massOutputs(model: ServedModel, result: RunResult): InferAnswer["outputs"] {
  return attentionMasses(model.engine.description.sites, result).flatMap(({ site, before, after }) => [
    { name: `atpatch.mass.before.${site}`, tensor: before },
    { name: `atpatch.mass.after.${site}`, tensor: after },
  ]);
}

/** Checks names, datatypes and shapes; returns the batch size. */
function checkInputs(model: ServedModel, given: InferRequest["inputs"]): number {
  const expected = model.engine.description.inputs;
  for (const name of Object.keys(given)) {
    if (!expected.some((input) => input.name === name)) {
      const names = expected.map((input) => input.name).join(", ");
      throw new AtPatchError(
        "ATPATCH_BAD_INPUT",
        `inputs: the model has no input "${name.slice(0, 80)}", only ${names}`,
      );
    }
  }
  let batch: { name: string; size: number } | null = null;
  for (const info of expected) {
    const tensor = given[info.name];
    if (tensor === undefined) {
      throw new AtPatchError(
        "ATPATCH_BAD_INPUT",
        `inputs: input "${info.name}" is missing (${describe(info)})`,
      );
    }
    checkFit(info, tensor);
    if (info.shape[0] !== null) continue;
    const size = tensor.shape[0]!;
    if (batch !== null && batch.size !== size) {
      throw new AtPatchError(
        "ATPATCH_UNPROCESSABLE",
        `inputs: "${batch.name}" has ${batch.size} samples and "${info.name}" has ${size}`,
      );
    }
    batch = { name: info.name, size };
  }
  const samples = batch?.size ?? expected[0]?.shape[0] ?? 1;
  if (samples < 1 || samples > model.maxInstances) {
    const what = `inputs: expected 1 to ${model.maxInstances} samples, got ${samples}`;
    throw new AtPatchError(samples < 1 ? "ATPATCH_BAD_INPUT" : "ATPATCH_UNPROCESSABLE", what);
  }
  return samples;
}

function checkFit(info: TensorInfo, tensor: Tensor): void {
  const fits =
    tensor.shape.length === info.shape.length &&
    info.shape.every((dim, axis) => dim === null || dim === tensor.shape[axis]);
  if (fits && tensor.datatype === info.datatype) return;
  throw new AtPatchError(
    "ATPATCH_UNPROCESSABLE",
    `inputs: input "${info.name}" takes ${describe(info)}, got ${tensor.datatype} [${tensor.shape.join(", ")}]`,
  );
}

function describe({ datatype, shape }: TensorInfo): string {
  return `${datatype} [${shape.map((dim) => dim ?? "any").join(", ")}]`;
}

function checkOutputs(model: ServedModel, wanted: readonly string[] | undefined): readonly string[] {
  const names = model.engine.description.outputs.map((output) => output.name);
  if (wanted === undefined || wanted.length === 0) return names;
  const unknown = wanted.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    const what = `outputs: the model has no output "${unknown.slice(0, 80)}", only ${names.join(", ")}`;
    throw new AtPatchError("ATPATCH_BAD_INPUT", what);
  }
  return [...new Set(wanted)];
}
