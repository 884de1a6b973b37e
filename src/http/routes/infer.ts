/** Open Inference Protocol: inference, tensors in JSON or behind it. */
import { Readable } from "node:stream";
import type { Static } from "typebox";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { InferAnswer, InferCodec } from "../../service/infer.ts";
import { outcomeHeaders } from "../../service/outcome.ts";
import { assumeJson } from "../body.ts";
import { callOf } from "../call.ts";
import { encodeAnswer, type EncodedAnswer } from "../infer-answer.ts";
import { acceptTensors, jsonLengthHeader, rawRequest } from "../infer-body.ts";
import { binaryOutputs, decodeRequest, type InferBody } from "../infer-request.ts";
import { requireRoom } from "../room.ts";
import { failuresOf, modelParams } from "../schemas/common.ts";
import { binaryHeaders, inferAnswer, inferBody, versionParams } from "../schemas/oip.ts";
import type { App, Services } from "../services.ts";

const schema = {
  tags: ["open inference protocol"],
  summary: "Infer from raw tensors",
  description:
    "Tensors travel in JSON or, with `inference-header-content-length`, as raw little-endian bytes behind it, in the order in which the JSON names them. A body of nothing but bytes is the tensor of the only input.",
  headers: binaryHeaders,
  body: inferBody,
  consumes: ["application/json", "application/octet-stream"],
  response: { 200: inferAnswer, ...failuresOf(400, 401, 403, 404, 413, 415, 422, 429, 503, 504) },
};

/** Larger answers, in bytes, are sent piece by piece instead of being copied together. */
const worthStreaming = 2 ** 20;

/** Where a request goes; a path may name no version. */
type Target = Static<typeof modelParams> & Partial<Static<typeof versionParams>>;

export function inferRoutes({ infer, models }: Services) {
  /** Gives a body of nothing but bytes the form of the others. */
  const completeRaw = async (request: FastifyRequest): Promise<void> => {
    if (request.inferPayload?.raw !== true) return;
    const { model, version } = request.params as Target;
    request.body = rawRequest(models.get(model, version), request.inferPayload.tail.length);
  };

  const answer = async (
    { model, version }: Target,
    body: InferBody,
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<Static<typeof inferAnswer>> => {
    const encoded = await infer.infer(model, version, codec(body, request, reply), callOf(request, reply));
    // The schema describes what these bytes say.
    return bodyOf(reply, encoded) as never;
  };

  return async (app: App): Promise<void> => {
    assumeJson(app);
    acceptTensors(app);
    app.addHook("onRequest", requireRoom(models));
    app.addHook("preValidation", completeRaw);
    app.post(
      "/v2/models/:model/infer",
      { schema: { ...schema, operationId: "infer", params: modelParams } },
      (request, reply) => answer(request.params, request.body, request, reply),
    );
    app.post(
      "/v2/models/:model/versions/:version/infer",
      { schema: { ...schema, operationId: "inferVersion", params: versionParams } },
      (request, reply) => answer(request.params, request.body, request, reply),
    );
  };
}

function codec(body: InferBody, request: FastifyRequest, reply: FastifyReply): InferCodec<EncodedAnswer> {
  return {
    decode: () => decodeRequest(body, request.inferPayload!),
    encode: async (answer: InferAnswer) => {
      const encoded = await encodeAnswer(answer, body.id, binaryOutputs(body));
      const triggered = answer.triggered.filter(Boolean).length;
      const outcome = { ...answer, triggered, samples: answer.triggered.length };
      reply.headers(outcomeHeaders(outcome, request.startedAt));
      return encoded;
    },
  };
}

function bodyOf(reply: FastifyReply, { pieces, jsonLength }: EncodedAnswer): Buffer | Readable {
  if (jsonLength === null) reply.type("application/json; charset=utf-8");
  else reply.type("application/octet-stream").header(jsonLengthHeader, jsonLength);
  const size = pieces.reduce((sum, { length }) => sum + length, 0);
  if (size < worthStreaming) return Buffer.concat(pieces, size);
  reply.header("content-length", size);
  return Readable.from(pieces, { objectMode: false });
}
