/** Repairs: from marked samples, or an uploaded debug set, to a detector that is ready to be tried. */
import type { Static } from "typebox";
import type { FastifyRequest } from "fastify";
import { defaultRepairOptions, type RepairJob } from "../../service/repair-job.ts";
import type { RepairRequest } from "../../service/repairs.ts";
import { acceptBytes } from "../body.ts";
import { adminOnly, failuresOf, modelParams } from "../schemas/common.ts";
import * as schemas from "../schemas/repairs.ts";
import type { App, Services } from "../services.ts";

const refusals = failuresOf(400, 401, 403, 404);

export function repairRoutes({ repairs }: Services) {
  return async (app: App): Promise<void> => {
    acceptBytes(app, ["application/octet-stream", "application/x-ndjson", "application/gzip"]);
    app.post(
      "/models/:model/repairs",
      {
        config: { scope: "detectors:write" },
        schema: {
          ...adminOnly,
          summary: "Make a detector from samples that went wrong, in the background",
          operationId: "startRepair",
          params: modelParams,
          querystring: schemas.repairQuery,
          body: schemas.repairBody,
          response: { 202: schemas.repairJob, ...refusals, ...failuresOf(409, 413, 415, 422, 503) },
        },
        preValidation: async (request) => {
          request.body ??= {};
        },
      },
      async (request, reply) => {
        const { model } = request.params;
        const by = request.principal?.name ?? "unknown";
        const job = await repairs.start(model, repairOf(request.query, request.body), by);
        reply.header("location", `/admin/models/${encodeURIComponent(model)}/repairs/${job.id}`);
        return reply.code(202).send(jobBody(job));
      },
    );
    app.get(
      "/models/:model/repairs",
      {
        config: { scope: "read" },
        schema: {
          ...adminOnly,
          summary: "Repairs since the start, the newest first",
          operationId: "listRepairs",
          params: modelParams,
          response: { 200: schemas.repairList, ...refusals },
        },
      },
      async (request) => ({ repairs: repairs.list(request.params.model).map(jobBody) }),
    );
    app.get(
      "/models/:model/repairs/:id",
      {
        config: { scope: "read" },
        schema: {
          ...adminOnly,
          summary: "A repair and how far it is",
          operationId: "repair",
          params: schemas.repairParams,
          response: { 200: schemas.repairJob, ...refusals },
        },
      },
      async (request) => jobBody(repairs.job(request.params.model, request.params.id)),
    );
    app.delete(
      "/models/:model/repairs/:id",
      {
        config: { scope: "detectors:write" },
        schema: {
          ...adminOnly,
          summary: "Cancel a repair that runs",
          operationId: "cancelRepair",
          params: schemas.repairParams,
          response: { 200: schemas.repairJob, ...refusals, ...failuresOf(409) },
        },
      },
      async (request) => jobBody(await repairs.cancel(request.params.model, request.params.id)),
    );
  };
}

type Query = Static<typeof schemas.repairQuery>;

/** Options come in the query, or with a JSON body. */
function repairOf(query: Query, body: FastifyRequest["body"]): RepairRequest {
  const bytes = body instanceof Uint8Array ? body : null;
  const { debug_set: text, ...own } = (bytes === null ? body : {}) as Query & { debug_set?: string };
  const given = { ...query, ...own };
  const uploaded = bytes ?? (text === undefined ? null : Buffer.from(text));
  return {
    uploaded,
    recorded: given.recorder ?? uploaded === null,
    reason: given.reason ?? null,
    options: {
      seed: given.seed ?? defaultRepairOptions.seed,
      falseFlagRate: given.false_flag_rate ?? defaultRepairOptions.falseFlagRate,
      maxAltered: given.max_altered ?? defaultRepairOptions.maxAltered,
      acceptPartial: given.accept_partial ?? defaultRepairOptions.acceptPartial,
      conformal: given.conformal ?? defaultRepairOptions.conformal,
    },
  };
}

function jobBody(job: RepairJob): Static<typeof schemas.repairJob> {
  const { startedAt, endedAt, failure, options, report, ...rest } = job;
  return {
    ...rest,
    options: {
      seed: options.seed,
      false_flag_rate: options.falseFlagRate,
      max_altered: options.maxAltered,
      accept_partial: options.acceptPartial,
      conformal: options.conformal,
    },
    started_at: startedAt,
    ended_at: endedAt,
    report: report && { ...report },
    error: failure,
  };
}
