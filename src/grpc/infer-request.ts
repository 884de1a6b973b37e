/** A request for inference as it came over gRPC, typed or raw, as the service takes it. */
import {
  classesOf,
  inferParameters,
  type ParameterValue,
  type Parameters,
} from "../service/infer-parameters.ts";
import type { InferRequest, NamedTensor } from "../service/infer.ts";
import { AtPatchError } from "../shared/errors.ts";
import { describeJson, jsonElements } from "../shared/json-element.ts";
import { bytesTensor, checkedCount, knownDatatype, readRaw } from "../shared/raw-tensor.ts";
import { datatypes, type AnyTensor, type NumericDatatype, type TypedArray } from "../shared/tensor.ts";
import {
  contentsField,
  type InferRequestMessage,
  type InputMessage,
  type Long,
  type ParameterMessage,
  type ParameterMessages,
} from "./messages.ts";

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
  if (raw !== undefined) {
    if (input.contents !== null && Object.values(input.contents).some((list: unknown[]) => list.length > 0)) {
      throw bad(`${field}.contents: raw_input_contents is there as well, expected one`);
    }
    return readRaw(field, datatype, shape, raw);
  }
  const place = contentsField[datatype];
  if (place === null) {
    const what = `${field}.datatype: ${datatype} has no typed contents, send the tensor in raw_input_contents`;
    throw new AtPatchError("ATPATCH_UNPROCESSABLE", what);
  }
  const count = checkedCount(field, shape);
  for (const [other, list] of Object.entries(input.contents ?? {})) {
    if (other !== place && (list as readonly unknown[]).length > 0) {
      throw bad(`${field}.contents.${other}: ${datatype} belongs in ${place}`);
    }
  }
  const elements = input.contents?.[place] ?? [];
  if (elements.length !== count) {
    const what = `shape [${shape.join(", ")}] needs ${count} values, got ${elements.length}`;
    throw bad(`${field}.contents.${place}: ${what}`);
  }
  if (datatype === "BYTES") return bytesTensor(shape, elements as readonly Buffer[]);
  return { datatype, shape, data: typedArray(`${field}.contents.${place}`, datatype, elements) };
}

type Elements = readonly (number | boolean | Long | Buffer)[];

function typedArray(path: string, datatype: NumericDatatype, elements: Elements): TypedArray {
  const values = new datatypes[datatype](elements.length) as TypedArray;
  switch (datatype) {
    case "INT64":
    case "UINT64": {
      const halves = new Int32Array(values.buffer);
      for (let index = 0; index < elements.length; index += 1) {
        const { low, high } = elements[index] as Long;
        halves[2 * index] = low;
        halves[2 * index + 1] = high;
      }
      return values;
    }
    // The message has the same precision; not-a-numbers and infinities may pass, as raw bytes may hold them as well.
    case "FP32":
    case "FP64":
      values.set(elements as unknown as ArrayLike<number> & ArrayLike<bigint>);
      return values;
    default: {
      const { read, expected } = jsonElements[datatype];
      for (let index = 0; index < elements.length; index += 1) {
        const value = read(elements[index]);
        if (value === undefined) {
          throw bad(`${path}[${index}]: expected ${expected}, got ${describeJson(elements[index])}`);
        }
        values[index] = value;
      }
      return values;
    }
  }
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
