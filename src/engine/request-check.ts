/** What can be said about a request before it waits in the queue; shapes are left to the runtime. */
import { AtPatchError } from "../shared/errors.ts";
import type { PatchDescription } from "../shared/patched-model.ts";
import type { RunRequest } from "./engine.ts";

export interface RequestLimits {
  readonly description: PatchDescription;
  /** Outputs a request may name. */
  readonly outputs: ReadonlySet<string>;
  /** Most samples of one run. */
  readonly maxBatch: number;
}

/**
 * Checks names, datatypes and numbers of samples.
 * @throws AtPatchError ATPATCH_UNPROCESSABLE naming the input, output or axis
 */
export function checkRequest(request: RunRequest, { description, outputs, maxBatch }: RequestLimits): void {
  const { batch, modes, inputs, force = {} } = request;
  if (!Number.isInteger(batch) || batch < 1) refuse(`a run needs at least one sample, got ${batch}`);
  if (batch > maxBatch) refuse(`a run takes at most ${maxBatch} samples, got ${batch}`);
  if (modes.length !== batch) refuse(`expected one mode per sample (${batch}), got ${modes.length}`);

  for (const { name, datatype } of description.inputs) {
    const given = inputs[name];
    if (given === undefined) refuse(`input "${name}" is missing`);
    if (given.datatype !== datatype) refuse(`input "${name}" must be ${datatype}, got ${given.datatype}`);
  }
  for (const name of Object.keys(inputs)) {
    if (!description.inputs.some((input) => input.name === name)) refuse(`the model has no input "${name}"`);
  }
  for (const name of request.outputs ?? []) {
    if (!outputs.has(name)) refuse(`the model has no output "${name}"`);
  }
  const missing = request.report?.find((site) => !description.sites.some(({ index }) => index === site));
  if (missing !== undefined) refuse(`the model has no attention site ${missing} to report on`);
  for (const [axis, { datatype, shape }] of Object.entries(force)) {
    if (Number(axis) >= description.axes) refuse(`the model has no key axis ${axis}`);
    if ((datatype !== "BOOL" && datatype !== "UINT8") || shape.length !== 2 || shape[0] !== batch) {
      refuse(
        `forced columns of axis ${axis} must be BOOL [${batch}, keys], got ${datatype} [${shape.join(", ")}]`,
      );
    }
  }
}

function refuse(message: string): never {
  throw new AtPatchError("ATPATCH_UNPROCESSABLE", message);
}
