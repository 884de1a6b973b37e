/** Open Inference Protocol: the repository verbs, which act on detectors. */
import type { FastifyRequest } from "fastify";
import { guardScope } from "../auth.ts";
import { assumeJson, jsonReader } from "../body.ts";
import { changeOf } from "../change.ts";
import { failuresOf, modelParams } from "../schemas/common.ts";
import * as schemas from "../schemas/oip.ts";
import type { App, Services } from "../services.ts";

const common = { tags: ["open inference protocol"], security: [{ bearer: [] }] };
const failures = failuresOf(400, 401, 403, 404, 409, 413, 415, 422, 503);

export function repositoryRoutes({ repository }: Services) {
  return async (app: App): Promise<void> => {
    guardScope(app);
    assumeJson(app);
    acceptNothing(app);
    app.post(
      "/v2/repository/index",
      {
        config: { scope: "read" },
        schema: {
          ...common,
          summary: "Detectors of every model, and which are active",
          operationId: "repositoryIndex",
          body: schemas.indexBody,
          response: { 200: schemas.repositoryIndex, ...failures },
        },
      },
      async (request) => repository.index(request.body.ready),
    );
    app.post(
      "/v2/repository/models/:model/load",
      {
        config: { scope: "detectors:write" },
        schema: {
          ...common,
          summary: "Activate a detector",
          operationId: "repositoryLoad",
          params: modelParams,
          body: schemas.loadBody,
          response: { 200: schemas.repositoryChanged, ...failures },
        },
      },
      async (request) => {
        const { model } = request.params;
        const { parameters = {} } = request.body;
        const snapshot = await repository.load(model, parameters, changeOf(request, "repository load"));
        return { name: model, detector: snapshot.active, revision: snapshot.revision };
      },
    );
    app.post(
      "/v2/repository/models/:model/unload",
      {
        config: { scope: "detectors:write" },
        schema: {
          ...common,
          summary: "Serve the model without a detector",
          operationId: "repositoryUnload",
          params: modelParams,
          body: schemas.unloadBody,
          response: { 200: schemas.repositoryChanged, ...failures },
        },
      },
      async (request) => {
        const { model } = request.params;
        const { revision } = await repository.unload(model, changeOf(request, "repository unload"));
        return { name: model, detector: null, revision };
      },
    );
  };
}

/** A route scope in which an empty body stands for an empty object: clients of these verbs often send none. */
function acceptNothing(app: App): void {
  const read = jsonReader(app);
  app.removeContentTypeParser("application/json");
  app.addContentTypeParser<string>(
    "application/json",
    { parseAs: "string" },
    async (_request: FastifyRequest, body: string) => (body === "" ? {} : read(body)),
  );
  app.addHook("preValidation", async (request) => {
    request.body ??= {};
  });
}
