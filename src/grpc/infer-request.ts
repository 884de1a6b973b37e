/** A request for inference as it came over gRPC, typed or raw, as the service takes it. */
import {
  classesOf,
  inferParameters,
  type ParameterValue,
  type Parameters,
} from "../service/infer-parameters.ts";
import type { InferRequest, NamedTensor } from "../service/infer.ts";
import { AtPatchError } from "../shared/errors.ts";
import { knownDatatype, readRaw } from "../shared/raw-tensor.ts";
import type { AnyTensor } from "../shared/tensor.ts";
import { readContents } from "./contents.ts";
import type { InferRequestMessage, InputMessage, ParameterMessage, ParameterMessages } from "./messages.ts";

/** @throws AtPatchError ATPATCH_BAD_INPUT naming the field, ATPATCH_UNPROCESSABLE for half precision that is not raw */
export function decodeRequest(message: InferRequestMessage): InferRequest {
  const { inputs, raw_input_contents: raw } = message;
  if (inputs.length === 0) throw bad("inputs: expected at least one, got none");
  if (raw.length > 0 && raw.length !== inputs.length) {
    throw bad(`raw_input_contents: expected one for each of the ${inputs.length} inputs, got ${raw.length}`);
  }
  return {
    inputs: inputs.map((input, index): NamedTensor => {
      const field = `inputs[${index}]`;
      return { name: input.name, tensor: decodeInput(field, input, raw[index]) };
    }),
    outputs: message.outputs.map(({ name, parameters }, index) => ({
      name,
      classes: classesOf(`outputs[${index}]`, valuesOf(parameters)),
    })),
    parameters: inferParameters(valuesOf(message.parameters)),
  };
}

function decodeInput(field: string, input: InputMessage, raw: Buffer | undefined): AnyTensor {
  const datatype = knownDatatype(field, input.datatype);
  const shape = input.shape.map((dim) => dim.toNumber());
  if (raw === undefined) return readContents(field, datatype, shape, input.contents);
  if (input.contents.length > 0) {
    throw bad(`${field}.contents: raw_input_contents is there as well, expected one`);
  }
  return readRaw(field, datatype, shape, raw);
}

/** Parameters as plain values. */
export function valuesOf(messages: ParameterMessages): Parameters {
  return Object.fromEntries(
    Object.entries(messages).map(([name, message]) => [name, valueOf(name, message)]),
  );
}

function valueOf(name: string, message: ParameterMessage): ParameterValue {
  const value = message[message.parameter_choice as Exclude<keyof ParameterMessage, "parameter_choice">];
  if (typeof value === "object" && "toNumber" in value) return value.toNumber();
  if (value === undefined || typeof value === "object") {
    throw bad(`parameters.${name.slice(0, 40)}: expected a value of a known kind`);
  }
  return value;
}

function bad(message: string): AtPatchError {
  return new AtPatchError("ATPATCH_BAD_INPUT", message);
}
