/** Whether a request for inference fits the model: names, datatypes, shapes, number of samples. */
import { AtPatchError } from "../shared/errors.ts";
import type { AnyTensor, Tensor, TensorInfo } from "../shared/tensor.ts";
import type { NamedTensor, WantedOutput } from "./infer.ts";
import type { ServedModel } from "./models.ts";

/** Inputs by name; for names like `__proto__` the table has no prototype. */
function uniqueInputs(inputs: readonly NamedTensor[]): Readonly<Record<string, AnyTensor>> {
  const table = Object.create(null) as Record<string, AnyTensor>;
  for (const [index, { name, tensor }] of inputs.entries()) {
    if (name in table) {
      const what = `inputs[${index}].name: "${name.slice(0, 80)}" is there twice`;
      throw new AtPatchError("ATPATCH_BAD_INPUT", what);
    }
    table[name] = tensor;
  }
  return table;
}

export interface CheckedInputs {
  readonly tensors: Readonly<Record<string, Tensor>>;
  /** Number of samples. */
  readonly batch: number;
}

/** @throws AtPatchError ATPATCH_BAD_INPUT for names, ATPATCH_UNPROCESSABLE for what the model cannot take */
export function checkInputs(model: ServedModel, inputs: readonly NamedTensor[]): CheckedInputs {
  const given = uniqueInputs(inputs);
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
  // No model takes BYTES, so what fits is numeric.
  return { tensors: given as Readonly<Record<string, Tensor>>, batch: samples };
}

function checkFit(info: TensorInfo, tensor: AnyTensor): void {
  if (info.datatype === "BYTES") {
    const what = `inputs: the model takes text in "${info.name}", and models with text inputs cannot be run here`;
    throw new AtPatchError("ATPATCH_UNPROCESSABLE", what);
  }
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

/**
 * The outputs wanted, all when none is named.
 * @throws AtPatchError ATPATCH_BAD_INPUT for names
 */
export function checkOutputs(
  model: ServedModel,
  wanted: readonly WantedOutput[] | undefined,
): readonly WantedOutput[] {
  const all = model.engine.description.outputs.map(({ name }) => ({ name }));
  if (wanted === undefined || wanted.length === 0) return all;
  const seen = new Set<string>();
  for (const [index, { name }] of wanted.entries()) {
    if (seen.has(name)) {
      const what = `outputs[${index}].name: "${name.slice(0, 80)}" is there twice`;
      throw new AtPatchError("ATPATCH_BAD_INPUT", what);
    }
    seen.add(name);
    if (all.some((output) => output.name === name)) continue;
    const names = all.map((output) => output.name).join(", ");
    const what = `outputs: the model has no output "${name.slice(0, 80)}", only ${names}`;
    throw new AtPatchError("ATPATCH_BAD_INPUT", what);
  }
  return wanted;
}
