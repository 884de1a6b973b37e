/** What changes at run time: the active detector and the policy. */
import type { Static } from "typebox";
import type { FastifyReply } from "fastify";
import type { RegistrySnapshot } from "../../detector/registry.ts";
import { changeOf } from "../change.ts";
import { tagOf } from "../revision.ts";
import * as schemas from "../schemas/admin.ts";
import { adminOnly, failuresOf, modelParams } from "../schemas/common.ts";
import type { App, Services } from "../services.ts";

const failures = failuresOf(400, 401, 403, 404, 409, 412, 413, 415, 422, 503);

export function changeRoutes({ admin }: Services) {
  return async (app: App): Promise<void> => {
    app.put(
      "/models/:model/active",
      {
        config: { scope: "detectors:write" },
        schema: {
          ...adminOnly,
          summary: "Activate a detector for every request that starts after the answer",
          operationId: "activateDetector",
          params: modelParams,
          headers: schemas.revisionHeaders,
          body: schemas.activateBody,
          response: { 200: schemas.snapshot, ...failures },
        },
      },
      async (request, reply) => {
        const { detector, reason } = request.body;
        return changed(
          reply,
          await admin.activate(request.params.model, detector, changeOf(request, reason)),
        );
      },
    );
    app.post(
      "/models/:model/rollback",
      {
        config: { scope: "detectors:write" },
        schema: {
          ...adminOnly,
          summary: "Activate the previously active detector",
          operationId: "rollbackDetector",
          params: modelParams,
          headers: schemas.revisionHeaders,
          body: schemas.rollbackBody,
          response: { 200: schemas.snapshot, ...failures },
        },
        // A rollback at night should not fail for want of a body.
        preValidation: async (request) => {
          request.body ??= {};
        },
      },
      async (request, reply) =>
        changed(reply, await admin.rollback(request.params.model, changeOf(request, request.body.reason))),
    );
    app.put(
      "/models/:model/policy",
      {
        config: { scope: "policy:write" },
        schema: {
          ...adminOnly,
          summary: "Change the fields of the policy that the body names",
          operationId: "setPolicy",
          params: modelParams,
          headers: schemas.revisionHeaders,
          body: schemas.policyBody,
          response: { 200: schemas.snapshot, ...failures },
        },
      },
      async (request, reply) => {
        const { reason, ...patch } = request.body;
        return changed(reply, await admin.setPolicy(request.params.model, patch, changeOf(request, reason)));
      },
    );
  };
}

function changed(reply: FastifyReply, snapshot: RegistrySnapshot): Static<typeof schemas.snapshot> {
  reply.header("etag", tagOf(snapshot.revision));
  return { ...snapshot };
}
