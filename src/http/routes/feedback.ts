/** Recorded samples: look at them, mark them, make a debug set of them. What users sent has a scope of its own. */
import type { Static } from "typebox";
import type { RecordedSample } from "../../service/recording.ts";
import { AtPatchError } from "../../shared/errors.ts";
import { adminOnly, failuresOf, modelParams } from "../schemas/common.ts";
import * as schemas from "../schemas/feedback.ts";
import type { App, Services } from "../services.ts";

const refusals = failuresOf(400, 401, 403, 404);

export function feedbackRoutes({ feedback, admin }: Services) {
  return async (app: App): Promise<void> => {
    app.get(
      "/models/:model/recordings",
      {
        config: { scope: "recordings:read" },
        schema: {
          ...adminOnly,
          summary: "Recorded samples, the newest first, without what callers sent",
          operationId: "listRecordings",
          params: modelParams,
          querystring: schemas.recordingsQuery,
          response: { 200: schemas.recordings, ...refusals },
        },
      },
      async (request) => {
        const { model } = request.params;
        const { limit = 50, triggered } = request.query;
        const samples = feedback
          .recorded(model)
          .filter((sample) => triggered === undefined || sample.triggered === triggered);
        return { recorder: admin.model(model).recorder, samples: samples.slice(0, limit).map(sampleBody) };
      },
    );
    app.get(
      "/models/:model/recordings/:request/:sample",
      {
        config: { scope: "recordings:read" },
        schema: {
          ...adminOnly,
          summary: "A recorded sample with what the caller sent",
          operationId: "recording",
          params: schemas.sampleParams,
          response: { 200: schemas.recordedInstance, ...refusals, ...failuresOf(409) },
        },
      },
      async (request) => {
        const { model, request: id, sample } = request.params;
        const found = feedback.sample(model, id, sample);
        const instance: unknown = found.instance === null ? null : JSON.parse(found.instance.toString());
        return { ...sampleBody(found), instance };
      },
    );
    app.delete(
      "/models/:model/recordings",
      {
        config: { scope: "recordings:read" },
        schema: {
          ...adminOnly,
          summary: "Forget everything that is recorded, marks included",
          operationId: "forgetRecordings",
          params: modelParams,
          response: { 200: schemas.forgotten, ...refusals },
        },
      },
      async (request) => ({ forgotten: feedback.forget(request.params.model) }),
    );
    app.post(
      "/models/:model/feedback",
      {
        config: { scope: "feedback:write" },
        schema: {
          ...adminOnly,
          summary: "Mark a recorded sample with its true class",
          operationId: "markSample",
          params: modelParams,
          body: schemas.feedbackBody,
          response: { 200: schemas.recordedSample, ...refusals, ...failuresOf(409, 413, 415) },
        },
      },
      async (request) => {
        const { request_id: requestId, ...said } = request.body;
        const by = request.principal?.name ?? "unknown";
        return sampleBody(feedback.mark(request.params.model, { requestId, ...said }, by));
      },
    );
    app.get(
      "/models/:model/feedback",
      {
        config: { scope: "read" },
        schema: {
          ...adminOnly,
          summary: "Marks, the newest sample first, and what the debug set would hold",
          operationId: "listFeedback",
          params: modelParams,
          response: { 200: schemas.feedbackList, ...refusals },
        },
      },
      async (request) => {
        const { model } = request.params;
        const { failing, clean, withoutInstance } = feedback.debugSetCounts(model);
        return {
          recorder: admin.model(model).recorder,
          marked: feedback.marked(model).map(({ request: id, sample, index, mark }) => ({
            request_id: id,
            sample,
            index,
            ...mark!,
          })),
          debug_set: { failing, clean, without_instance: withoutInstance },
        };
      },
    );
    app.delete(
      "/models/:model/feedback",
      {
        config: { scope: "feedback:write" },
        schema: {
          ...adminOnly,
          summary: "Take every mark off",
          operationId: "clearFeedback",
          params: modelParams,
          response: { 200: schemas.forgotten, ...refusals },
        },
      },
      async (request) => ({ forgotten: feedback.clear(request.params.model) }),
    );
    app.delete(
      "/models/:model/feedback/:request/:sample",
      {
        config: { scope: "feedback:write" },
        schema: {
          ...adminOnly,
          summary: "Take the mark of one sample off",
          operationId: "unmarkSample",
          params: schemas.sampleParams,
          response: { 200: schemas.forgotten, ...refusals, ...failuresOf(409) },
        },
      },
      async (request) => {
        const { model, request: id, sample } = request.params;
        feedback.unmark(model, id, sample);
        return { forgotten: 1 };
      },
    );
    app.get(
      "/models/:model/debugset",
      {
        config: { scope: "recordings:read" },
        schema: {
          ...adminOnly,
          summary: "Debug set of the marked samples and of clean traffic",
          operationId: "downloadDebugSet",
          params: modelParams,
          response: { 200: schemas.debugSet, ...refusals, ...failuresOf(409) },
        },
      },
      async (request, reply) => {
        const { model } = request.params;
        const lines = feedback.debugSet(model);
        if (lines.length === 0) throw nothingRecorded(admin.model(model).recorder.mode);
        reply.type("application/x-ndjson").header("cache-control", "no-store");
        reply.header("content-disposition", `attachment; filename="${model}-debug.jsonl"`);
        return reply.send(lines);
      },
    );
  };
}

function nothingRecorded(mode: string): AtPatchError {
  const what =
    mode === "inputs"
      ? "nothing was recorded yet: send requests first"
      : `what callers send is not recorded (ATPATCH_RECORD is "${mode}"): start the server with ATPATCH_RECORD=inputs`;
  return new AtPatchError("ATPATCH_CONFLICT", `there is no debug set: ${what}`);
}

function sampleBody(recorded: RecordedSample): Static<typeof schemas.recordedSample> {
  const { request, instance, digest: _, at, columns, features, ...sample } = recorded;
  return {
    request_id: request,
    ...sample,
    probabilities: { ...sample.probabilities },
    at: new Date(at).toISOString(),
    columns: columns.map((column) => ({ ...column })),
    features: features.map((feature) => ({ ...feature, values: [...feature.values] })),
    has_instance: instance !== null,
  };
}
