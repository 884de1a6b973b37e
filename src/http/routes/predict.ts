/** `POST /v1/models/{model}:predict`, `POST /predict`, and the list of models. */
import type { Static } from "typebox";
import type { FastifyReply, FastifyRequest } from "fastify";
import { outcomeHeaders } from "../../service/outcome.ts";
import type { PredictAnswer, PredictRequest } from "../../service/predict.ts";
import { assumeJson } from "../body.ts";
import { callOf } from "../call.ts";
import { requireRoom } from "../room.ts";
import { failuresOf, modelParams } from "../schemas/common.ts";
import { modelList, modelStatus, predictAnswer, predictBody, type PlaceBody } from "../schemas/predict.ts";
import type { App, Services } from "../services.ts";

const failures = failuresOf(400, 401, 403, 404, 413, 415, 422, 429, 503, 504);
const tags = ["predict"];

export function predictRoutes({ predict, models }: Services) {
  const answer = async (
    model: string | null,
    body: Static<typeof predictBody>,
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<Static<typeof predictAnswer>> => {
    const given = await predict.predict(model, toRequest(body), callOf(request, reply));
    reply.headers(outcomeHeaders({ ...given, samples: given.predictions.length }, request.startedAt));
    return toBody(given);
  };

  return async (app: App): Promise<void> => {
    assumeJson(app);
    const onRequest = requireRoom(models);
    const schema = { tags, body: predictBody, response: { 200: predictAnswer, ...failures } };

    // The pattern keeps the parameter from swallowing the verb behind the colon.
    app.post(
      "/v1/models/:model(^[^:/]+)::predict",
      {
        onRequest,
        schema: {
          ...schema,
          summary: "Predict with a model",
          operationId: "predictModel",
          params: modelParams,
        },
      },
      (request, reply) => answer(request.params.model, request.body, request, reply),
    );
    app.post(
      "/predict",
      { onRequest, schema: { ...schema, summary: "Predict with the default model", operationId: "predict" } },
      (request, reply) => answer(null, request.body, request, reply),
    );
    app.get(
      "/v1/models",
      {
        schema: {
          tags,
          summary: "Names of the served models",
          operationId: "listModels",
          response: { 200: modelList },
        },
      },
      async () => ({ models: models.all().map((model) => model.name) }),
    );
    app.get(
      "/v1/models/:model",
      {
        schema: {
          tags,
          summary: "Whether a model is ready, and what it tells apart",
          operationId: "modelStatus",
          params: modelParams,
          response: { 200: modelStatus, ...failuresOf(404) },
        },
      },
      async (request) => {
        const { name, engine, task } = models.get(request.params.model);
        return { name, ready: engine.ready, task: task.kind, labels: [...task.labels] };
      },
    );
  };
}

function toRequest({ instances, parameters = {} }: Static<typeof predictBody>): PredictRequest {
  return { instances, mode: parameters.mode, topK: parameters.top_k, explain: parameters.explain };
}

function toBody(answer: PredictAnswer): Static<typeof predictAnswer> {
  return {
    model_name: answer.model,
    predictions: answer.predictions.map(
      ({ mode, triggered, failedOpen, columns, attention: masses, ...prediction }) => ({
        ...prediction,
        atpatch: {
          mode,
          triggered,
          ...(failedOpen && { failed_open: true }),
          columns: columns.map(({ sites, at, attention, ...column }) => ({
            ...column,
            sites: [...sites],
            ...(at && { at: at as PlaceBody }),
            ...(attention && { attention: [...attention] }),
          })),
          ...(masses && {
            attention: {
              places: masses.places as (PlaceBody | null)[],
              sites: masses.sites.map(({ site, before, after }) => ({
                site,
                before: [...before],
                after: [...after],
              })),
            },
          }),
        },
      }),
    ),
    atpatch: { detector: answer.detector, revision: answer.revision },
  };
}
