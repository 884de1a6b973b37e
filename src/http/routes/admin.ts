/** What operators do: look at models, change detectors and policy, read the history. Every route names its scope. */
import type { Static } from "typebox";
import type { ModelState } from "../../service/admin.ts";
import { guardScope } from "../auth.ts";
import { tagOf } from "../revision.ts";
import * as schemas from "../schemas/admin.ts";
import { adminOnly, failuresOf, modelParams } from "../schemas/common.ts";
import type { App, Services } from "../services.ts";
import { changeRoutes } from "./changes.ts";
import { detectorRoutes } from "./detectors.ts";
import { eventRoutes } from "./events.ts";
import { feedbackRoutes } from "./feedback.ts";
import { repairRoutes } from "./repairs.ts";

const refusals = failuresOf(400, 401, 403, 404);

export function adminRoutes(services: Services) {
  const { admin } = services;
  return async (app: App): Promise<void> => {
    guardScope(app);
    app.get(
      "/models",
      {
        config: { scope: "read" },
        schema: {
          ...adminOnly,
          summary: "All models with their state",
          operationId: "adminModels",
          response: { 200: schemas.modelStates, ...refusals },
        },
      },
      async () => ({ models: admin.models().map(stateBody) }),
    );
    app.get(
      "/models/:model",
      {
        config: { scope: "read" },
        schema: {
          ...adminOnly,
          summary: "Sites, detector, policy, revision and counters of a model",
          operationId: "adminModel",
          params: modelParams,
          response: { 200: schemas.modelState, ...refusals },
        },
      },
      async (request, reply) => {
        const state = admin.model(request.params.model);
        reply.header("etag", tagOf(state.revision));
        return stateBody(state);
      },
    );
    app.get(
      "/models/:model/samples",
      {
        config: { scope: "read" },
        schema: {
          ...adminOnly,
          summary: "Samples that come with the model, and the columns of a table",
          operationId: "modelSamples",
          params: modelParams,
          response: { 200: schemas.tryOut, ...refusals },
        },
      },
      async (request) => {
        const { columns, samples } = await admin.tryOut(request.params.model);
        return {
          columns: columns && columns.map((column) => ({ ...column })),
          samples: samples.map((sample) => ({ ...sample })),
        };
      },
    );
    app.get(
      "/models/:model/history",
      {
        config: { scope: "read" },
        schema: {
          ...adminOnly,
          summary: "What was done, the newest first",
          operationId: "history",
          params: modelParams,
          querystring: schemas.historyQuery,
          response: { 200: schemas.history, ...refusals },
        },
      },
      async (request) => {
        const entries = await admin.history(request.params.model, request.query);
        return { entries };
      },
    );

    await app.register(detectorRoutes(services));
    await app.register(changeRoutes(services));
    await app.register(eventRoutes(services));
    await app.register(feedbackRoutes(services));
    await app.register(repairRoutes(services));
  };
}

function stateBody(state: ModelState): Static<typeof schemas.modelState> {
  const counters = { ...state.counters, detectors: [...state.counters.detectors] };
  return { ...state, labels: [...state.labels], sites: [...state.sites], counters };
}
