/** Repair jobs. */
import { Type } from "typebox";
import { errorCodes } from "../../shared/errors.ts";
import { detectorId, modelParams, nullable } from "./common.ts";

const document = Type.Record(Type.String(), Type.Unknown());

const options = {
  seed: Type.Optional(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1, description: "0 when absent." })),
  false_flag_rate: Type.Optional(
    Type.Number({
      exclusiveMinimum: 0,
      maximum: 0.5,
      description: "Clean requests that may be flagged; 0.02 when absent.",
    }),
  ),
  max_altered: Type.Optional(
    Type.Number({
      minimum: 0,
      maximum: 1,
      description: "Clean predictions that may change; 0.005 when absent.",
    }),
  ),
  accept_partial: Type.Optional(
    Type.Boolean({ description: "Go on when attention columns carry only a part of the failures." }),
  ),
  conformal: Type.Optional(
    Type.Boolean({
      description: "Fit nothing to the failing samples: flag what is unlike ordinary attention.",
    }),
  ),
  recorder: Type.Optional(
    Type.Boolean({
      description:
        "Use the samples of the flight recorder, beside an uploaded set if there is one; true when there is none.",
    }),
  ),
  reason: Type.Optional(Type.String({ maxLength: 400, description: "Why; kept in the history." })),
};

export const repairQuery = Type.Object(options, {
  additionalProperties: false,
});

export const repairBody = {
  description:
    "Either the options, with the debug set as a text or without one; or the debug set itself, JSON Lines, optionally gzip, with the options in the query.",
  content: {
    "application/json": {
      schema: Type.Object(
        {
          ...options,
          debug_set: Type.Optional(Type.String({ minLength: 1, description: "A debug set: JSON Lines." })),
        },
        { additionalProperties: false, examples: [{ reason: "stop signs read as speed limits" }] },
      ),
    },
    ...Object.fromEntries(
      ["application/octet-stream", "application/x-ndjson", "application/gzip"].map((type) => [
        type,
        { schema: Type.Unsafe<Buffer>({ contentMediaType: type }) },
      ]),
    ),
  },
};

export const repairParams = Type.Object({ ...modelParams.properties, id: Type.String() });

export const repairJob = Type.Object(
  {
    id: Type.String(),
    model: Type.String(),
    state: Type.Enum(["running", "done", "failed", "cancelled"]),
    by: Type.String(),
    reason: nullable(Type.String()),
    options: Type.Object({
      seed: Type.Integer(),
      false_flag_rate: Type.Number(),
      max_altered: Type.Number(),
      accept_partial: Type.Boolean(),
      conformal: Type.Boolean(),
    }),
    samples: Type.Object({ clean: Type.Integer(), failing: Type.Integer() }),
    progress: Type.Object({
      stage: Type.String(),
      done: Type.Integer(),
      all: Type.Integer({ description: "0 where the stage has no steps to count." }),
    }),
    started_at: Type.String(),
    ended_at: nullable(Type.String()),
    detector: nullable(detectorId),
    report: nullable(document),
    error: nullable(Type.Object({ code: Type.Enum(Object.keys(errorCodes)), error: Type.String() })),
  },
  { description: "The repair." },
);

export const repairList = Type.Object(
  { repairs: Type.Array(repairJob) },
  { description: "The repairs that are remembered, the newest first." },
);
