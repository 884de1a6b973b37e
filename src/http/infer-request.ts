/** A request for inference as it came over HTTP, tensors in JSON or behind it, as the service takes it. */
import type { Static } from "typebox";
import type { InferRequest, NamedTensor, WantedOutput } from "../service/infer.ts";
import { classesOf, inferParameters, type Parameters } from "../service/infer-parameters.ts";
import { AtPatchError } from "../shared/errors.ts";
import { knownDatatype, readRaw } from "../shared/raw-tensor.ts";
import { parseExactly } from "./exact-integers.ts";
import type { InferPayload } from "./infer-body.ts";
import type { inferBody } from "./schemas/oip.ts";
import { decodeTensor } from "./tensor-json.ts";

export type InferBody = Static<typeof inferBody>;

/** @throws AtPatchError ATPATCH_BAD_INPUT naming the field, ATPATCH_UNPROCESSABLE for a datatype that JSON cannot carry */
export function decodeRequest(body: InferBody, { text, tail }: InferPayload): InferRequest {
  let exact: InferBody | undefined;
  let read = 0;
  const inputs = body.inputs.map((input, index): NamedTensor => {
    const field = `inputs[${index}]`;
    const size = binarySize(field, input.parameters);
    if (size === undefined) {
      const { data } = input;
      if (data === undefined) throw bad(`${field}.data: the field is missing`);
      const again = (): readonly unknown[] =>
        (exact ??= parseExactly(text) as InferBody).inputs[index]!.data!;
      return { name: input.name, tensor: decodeTensor(field, { ...input, data }, again) };
    }
    if (input.data !== undefined) throw bad(`${field}: data and binary_data_size are there, expected one`);
    const left = tail.length - read;
    if (size > left) {
      throw bad(`${field}.parameters.binary_data_size: is ${size}, but ${left} bytes are left in the body`);
    }
    const bytes = tail.subarray(read, read + size);
    read += size;
    return {
      name: input.name,
      tensor: readRaw(field, knownDatatype(field, input.datatype), input.shape, bytes),
    };
  });
  if (read !== tail.length) {
    throw bad(`the body: ${tail.length - read} bytes are left after the tensors that the JSON names`);
  }
  return {
    inputs,
    outputs: body.outputs?.map(({ name, parameters = {} }, index): WantedOutput => ({
      name,
      classes: classesOf(`outputs[${index}]`, parameters),
    })),
    parameters: inferParameters(body.parameters ?? {}),
  };
}

function binarySize(field: string, { binary_data_size: size }: Parameters = {}): number | undefined {
  if (size === undefined || (Number.isSafeInteger(size) && (size as number) >= 0)) {
    return size as number | undefined;
  }
  throw bad(`${field}.parameters.binary_data_size: expected a whole number from 0`);
}

/**
 * Which outputs are wanted as binary data: what an output says of itself, else what the request says of all.
 * @throws AtPatchError ATPATCH_BAD_INPUT
 */
export function binaryOutputs(body: InferBody): (output: string) => boolean {
  const all = flag("parameters.binary_data_output", body.parameters?.["binary_data_output"]) ?? false;
  const single = new Map(
    (body.outputs ?? []).map(({ name, parameters = {} }, index) => [
      name,
      flag(`outputs[${index}].parameters.binary_data`, parameters["binary_data"]) ?? all,
    ]),
  );
  return (output) => single.get(output) ?? all;
}

function flag(field: string, value: unknown): boolean | undefined {
  if (value === undefined || typeof value === "boolean") return value;
  throw bad(`${field}: expected true or false`);
}

function bad(message: string): AtPatchError {
  return new AtPatchError("ATPATCH_BAD_INPUT", message);
}
