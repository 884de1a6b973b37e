/** Open Inference Protocol: inference with JSON tensors. */
import type { Static } from "typebox";
import type { FastifyReply, FastifyRequest } from "fastify";
import { AtPatchError } from "../../shared/errors.ts";
import { modeCodes, type Mode } from "../../shared/patched-model.ts";
import type { Tensor } from "../../shared/tensor.ts";
import type { InferAnswer, InferRequest } from "../../service/infer.ts";
import { assumeJson } from "../body.ts";
import { callOf, outcomeHeaders } from "../call.ts";
import { failuresOf, modelParams } from "../schemas/common.ts";
import { inferAnswer, inferBody, versionParams } from "../schemas/oip.ts";
import type { App, Services } from "../services.ts";
import { decodeTensor, encodeTensor } from "../tensor-json.ts";
import { versionOf } from "./oip.ts";

type Body = Static<typeof inferBody>;

const schema = {
  tags: ["open inference protocol"],
  summary: "Infer from raw tensors",
  body: inferBody,
  response: { 200: inferAnswer, ...failuresOf(400, 401, 403, 404, 413, 415, 422, 429, 503, 504) },
};

export function inferRoutes({ infer }: Services) {
  const answer = async (
    model: string,
    version: string | undefined,
    body: Body,
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<Static<typeof inferAnswer>> => {
    const given = await infer.infer(model, version, toRequest(body), callOf(request, reply));
    const triggered = given.triggered.filter(Boolean).length;
    const encoded = toBody(given, body.id);
    outcomeHeaders(request, reply, { ...given, triggered, samples: given.triggered.length });
    return encoded;
  };

  return async (app: App): Promise<void> => {
    assumeJson(app);
    app.post(
      "/v2/models/:model/infer",
      { schema: { ...schema, operationId: "infer", params: modelParams } },
      (request, reply) => answer(request.params.model, undefined, request.body, request, reply),
    );
    app.post(
      "/v2/models/:model/versions/:version/infer",
      { schema: { ...schema, operationId: "inferVersion", params: versionParams } },
      (request, reply) =>
        answer(request.params.model, versionOf(request.params), request.body, request, reply),
    );
  };
}

function toRequest(body: Body): InferRequest {
  const inputs = new Map<string, Tensor>();
  for (const [index, input] of body.inputs.entries()) {
    const field = `inputs[${index}]`;
    if (inputs.has(input.name)) {
      throw new AtPatchError(
        "ATPATCH_BAD_INPUT",
        `${field}.name: "${input.name.slice(0, 80)}" is there twice`,
      );
    }
    inputs.set(input.name, decodeTensor(field, input));
  }
  return {
    inputs: Object.fromEntries(inputs),
    outputs: body.outputs?.map((output) => output.name),
    ...ownParameters(body.parameters ?? {}),
  };
}

/** The parameters that are ours; those of other servers are let pass, as the protocol wants. */
function ownParameters(given: NonNullable<Body["parameters"]>): Pick<InferRequest, "mode" | "explain"> {
  for (const name of Object.keys(given)) {
    if (name.startsWith("atpatch_") && name !== "atpatch_mode" && name !== "atpatch_explain") {
      throw new AtPatchError(
        "ATPATCH_BAD_INPUT",
        `parameters.${name.slice(0, 40)}: there is no such parameter`,
      );
    }
  }
  const { atpatch_mode: mode, atpatch_explain: explain } = given;
  if (mode !== undefined && !(typeof mode === "string" && Object.hasOwn(modeCodes, mode))) {
    throw new AtPatchError(
      "ATPATCH_BAD_INPUT",
      "parameters.atpatch_mode: expected one of off, observe, enforce",
    );
  }
  if (explain !== undefined && typeof explain !== "boolean") {
    throw new AtPatchError("ATPATCH_BAD_INPUT", "parameters.atpatch_explain: expected true or false");
  }
  return { mode: mode as Mode | undefined, explain };
}

function toBody(answer: InferAnswer, id: string | undefined): Static<typeof inferAnswer> {
  return {
    model_name: answer.model,
    model_version: answer.version,
    ...(id !== undefined && { id }),
    parameters: {
      atpatch_detector: answer.detector ?? "none",
      atpatch_mode: answer.mode,
      atpatch_triggered: answer.triggered.map(Number).join(","),
      atpatch_revision: answer.revision,
    },
    outputs: answer.outputs.map(({ name, tensor }) => encodeTensor(name, tensor)),
  };
}
