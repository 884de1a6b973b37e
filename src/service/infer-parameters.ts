/** Request parameters of the Open Inference Protocol that this server knows, whatever carried them. */
import { AtPatchError } from "../shared/errors.ts";
import { modeCodes, type Mode } from "../shared/patched-model.ts";

export type ParameterValue = string | number | boolean;
export type Parameters = Readonly<Record<string, ParameterValue>>;

export interface InferParameters {
  readonly mode?: Mode | undefined;
  readonly explain?: boolean | undefined;
  /** Longest time the caller waits, in milliseconds. */
  readonly timeoutMs?: number | undefined;
}

/**
 * Those of a request. Unknown names of ours are refused; those of other servers are let pass, as the protocol wants.
 * @throws AtPatchError ATPATCH_BAD_INPUT naming the parameter
 */
export function inferParameters(given: Parameters): InferParameters {
  for (const name of Object.keys(given)) {
    if (name.startsWith("atpatch_") && name !== "atpatch_mode" && name !== "atpatch_explain") {
      throw bad(`parameters.${name.slice(0, 40)}: there is no such parameter`);
    }
  }
  const { atpatch_mode: mode, atpatch_explain: explain, timeout } = given;
  if (mode !== undefined && !(typeof mode === "string" && Object.hasOwn(modeCodes, mode))) {
    throw bad("parameters.atpatch_mode: expected one of off, observe, enforce");
  }
  if (explain !== undefined && typeof explain !== "boolean") {
    throw bad("parameters.atpatch_explain: expected true or false");
  }
  if (timeout !== undefined && !(Number.isInteger(timeout) && (timeout as number) >= 0)) {
    throw bad("parameters.timeout: expected a whole number of microseconds");
  }
  return {
    mode: mode as Mode | undefined,
    explain,
    // In microseconds, as the schedule policy extension has it; 0 sets none.
    ...(Boolean(timeout) && { timeoutMs: (timeout as number) / 1000 }),
  };
}

/**
 * How many classes an output is wanted as, or undefined for the tensor itself.
 * @param field what to call the output in errors, e.g. `outputs[0]`
 * @throws AtPatchError ATPATCH_BAD_INPUT
 */
export function classesOf(field: string, given: Parameters): number | undefined {
  const { classification } = given;
  if (classification === undefined) return undefined;
  if (Number.isInteger(classification) && (classification as number) >= 1) return classification as number;
  throw bad(`${field}.parameters.classification: expected a whole number from 1`);
}

function bad(message: string): AtPatchError {
  return new AtPatchError("ATPATCH_BAD_INPUT", message);
}
