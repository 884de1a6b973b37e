/** Answers to requests for inference over gRPC: raw for a raw request, typed for a typed one. */
import { answerParameters, type InferAnswer } from "../service/infer.ts";
import { writeRaw } from "../shared/raw-tensor.ts";
import { hasContents, writeContents } from "./contents.ts";
import type { InferRequestMessage, InferResponseMessage, ParameterMessages } from "./messages.ts";

export function encodeAnswer(answer: InferAnswer, request: InferRequestMessage): InferResponseMessage {
  const asked = request.parameters["binary_data_output"]?.bool_param ?? request.raw_input_contents.length > 0;
  // A message has one form for all of its tensors, and half precision only the raw one.
  const raw = asked || answer.outputs.some(({ tensor }) => !hasContents(tensor.datatype));
  return {
    model_name: answer.model,
    model_version: answer.version,
    id: request.id,
    parameters: parametersOf(answer, request),
    outputs: answer.outputs.map(({ name, tensor }) => ({
      name,
      datatype: tensor.datatype,
      shape: tensor.shape,
      ...(!raw && { contents: writeContents(tensor) }),
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
