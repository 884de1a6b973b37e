/** Answers to requests for inference over gRPC: raw for a raw request, typed for a typed one. */
import { answerParameters, type InferAnswer } from "../service/infer.ts";
import { bytesElements, writeRaw } from "../shared/raw-tensor.ts";
import type { AnyTensor } from "../shared/tensor.ts";
import {
  contentsField,
  type InferRequestMessage,
  type InferResponseMessage,
  type ParameterMessages,
} from "./messages.ts";

export function encodeAnswer(answer: InferAnswer, request: InferRequestMessage): InferResponseMessage {
  const asked = request.parameters["binary_data_output"]?.bool_param ?? request.raw_input_contents.length > 0;
  // A message has one form for all of its tensors, and half precision only the raw one.
  const raw = asked || answer.outputs.some(({ tensor }) => contentsField[tensor.datatype] === null);
  return {
    model_name: answer.model,
    model_version: answer.version,
    id: request.id,
    parameters: parametersOf(answer, request),
    outputs: answer.outputs.map(({ name, tensor }) => ({
      name,
      datatype: tensor.datatype,
      shape: tensor.shape,
      ...(!raw && { contents: { [contentsField[tensor.datatype]!]: elementsOf(tensor) } }),
    })),
    raw_output_contents: raw ? answer.outputs.map(({ tensor }) => writeRaw(tensor)) : [],
  };
}

function parametersOf(answer: InferAnswer, request: InferRequestMessage): ParameterMessages {
  const { atpatch_revision: revision, ...texts } = answerParameters(answer);
  // Clients that read several answers to a request from a stream ask for a mark on the last one; there is only one.
  const markFinal = request.parameters["triton_enable_empty_final_response"]?.bool_param === true;
  return {
    ...Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, { string_param: text }])),
    atpatch_revision: { int64_param: revision },
    ...(markFinal && { triton_final_response: { bool_param: true } }),
  };
}

function elementsOf(tensor: AnyTensor): unknown {
  if (tensor.datatype === "BYTES") return bytesElements(tensor);
  if (tensor.datatype === "BOOL") return Array.from(tensor.data as Uint8Array, Boolean);
  if (tensor.datatype !== "INT64" && tensor.datatype !== "UINT64")
    return Array.from(tensor.data as Float32Array);
  const { buffer, byteOffset, length } = tensor.data;
  const halves = new Int32Array(buffer as ArrayBuffer, byteOffset, 2 * length);
  const unsigned = tensor.datatype === "UINT64";
  return Array.from({ length }, (_, at) => ({ low: halves[2 * at]!, high: halves[2 * at + 1]!, unsigned }));
}
