/** Detector bundles: upload, list, describe, download, remove. */
import type { FastifyRequest } from "fastify";
import { AtPatchError } from "../../shared/errors.ts";
import { acceptBytes } from "../body.ts";
import { changeOf } from "../change.ts";
import * as schemas from "../schemas/admin.ts";
import { adminOnly, failuresOf, modelParams } from "../schemas/common.ts";
import type { App, Services } from "../services.ts";

const refusals = failuresOf(400, 401, 403, 404);

export function detectorRoutes({ admin }: Services) {
  return async (app: App): Promise<void> => {
    acceptBytes(app);
    app.post(
      "/models/:model/detectors",
      {
        config: { scope: "detectors:write" },
        schema: {
          ...adminOnly,
          summary: "Validate, try out and store a detector bundle",
          operationId: "uploadDetector",
          params: modelParams,
          body: schemas.bundleBytes,
          response: {
            200: { ...schemas.uploaded, description: "These bytes were stored already." },
            201: { ...schemas.uploaded, description: "Stored." },
            ...refusals,
            ...failuresOf(413, 415, 422, 503),
          },
        },
      },
      async (request, reply) => {
        const bundle = bytesOf(request);
        const { id, created, report } = await admin.upload(request.params.model, bundle, changeOf(request));
        reply.header("location", `/admin/models/${encodeURIComponent(request.params.model)}/detectors/${id}`);
        return reply.code(created ? 201 : 200).send({ id, report });
      },
    );
    app.get(
      "/models/:model/detectors",
      {
        config: { scope: "read" },
        schema: {
          ...adminOnly,
          summary: "Stored detectors, the oldest first",
          operationId: "listDetectors",
          params: modelParams,
          response: { 200: schemas.detectorList, ...refusals },
        },
      },
      async (request) => {
        const detectors = await admin.detectors(request.params.model);
        return { detectors: detectors.map((detector) => ({ ...detector, roles: [...detector.roles] })) };
      },
    );
    app.get(
      "/models/:model/detectors/:id",
      {
        config: { scope: "read" },
        schema: {
          ...adminOnly,
          summary: "A detector with its provenance and report",
          operationId: "describeDetector",
          params: schemas.detectorParams,
          response: { 200: schemas.detectorDescription, ...refusals },
        },
      },
      async (request) => {
        const { metadata, roles, ...stored } = await admin.detector(request.params.model, request.params.id);
        return { ...stored, roles: [...roles], metadata: { ...metadata } };
      },
    );
    app.get(
      "/models/:model/detectors/:id/content",
      {
        config: { scope: "read" },
        schema: {
          ...adminOnly,
          summary: "The bundle as it was uploaded",
          operationId: "downloadDetector",
          params: schemas.detectorParams,
          response: { 200: schemas.bundleBytes, ...refusals },
        },
      },
      async (request, reply) => {
        const { model, id } = request.params;
        const bundle = await admin.content(model, id);
        reply.type("application/octet-stream");
        reply.header("content-disposition", `attachment; filename="${id}.safetensors"`);
        return reply.send(Buffer.from(bundle.buffer, bundle.byteOffset, bundle.byteLength));
      },
    );
    app.delete(
      "/models/:model/detectors/:id",
      {
        config: { scope: "detectors:write" },
        schema: {
          ...adminOnly,
          summary: "Remove a detector that is not in use",
          operationId: "removeDetector",
          params: schemas.detectorParams,
          headers: schemas.revisionHeaders,
          response: { 204: schemas.removed, ...failuresOf(400, 401, 403, 404, 409, 412, 503) },
        },
      },
      async (request, reply) => {
        await admin.remove(request.params.model, request.params.id, changeOf(request));
        return reply.code(204).send(undefined);
      },
    );
  };
}

function bytesOf(request: FastifyRequest): Uint8Array {
  if (request.body instanceof Uint8Array && request.body.length > 0) return request.body;
  if (request.body === undefined || request.body instanceof Uint8Array) {
    throw new AtPatchError("ATPATCH_BAD_INPUT", "the body is empty, expected a detector bundle");
  }
  throw new AtPatchError("ATPATCH_UNSUPPORTED_MEDIA", "send the bundle as application/octet-stream");
}
