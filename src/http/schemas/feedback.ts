/** Recorded samples, the marks on them, and the debug set made of them. */
import { Type } from "typebox";
import { recorderState } from "./admin.ts";
import { detectorId, modelParams, modeSchema, nullable } from "./common.ts";

const set = Type.Enum(["failing", "clean"]);
const document = Type.Record(Type.String(), Type.Unknown());

const mark = Type.Object({
  set,
  label: Type.Integer({ description: "Index of the true class." }),
  by: Type.String(),
  at: Type.String(),
});

export const recordedSample = Type.Object(
  {
    request_id: Type.String(),
    sample: Type.Integer({ description: "Number of the sample in its request." }),
    at: Type.String(),
    label: Type.String(),
    index: Type.Integer(),
    score: Type.Number(),
    probabilities: Type.Record(Type.String(), Type.Number()),
    mode: modeSchema,
    detector: nullable(detectorId),
    triggered: Type.Boolean(),
    columns: Type.Array(document, { description: "Flagged columns, 32 at most." }),
    features: Type.Array(
      Type.Object({ site: Type.Integer(), column: Type.Integer(), values: Type.Array(Type.Number()) }),
      { description: "Attention features of the flagged columns, where the run reported them." },
    ),
    has_instance: Type.Boolean({ description: "Whether what the caller sent was recorded." }),
    mark: nullable(mark),
  },
  { description: "The sample." },
);

export const recordedInstance = Type.Object(
  {
    ...recordedSample.properties,
    instance: Type.Unknown({ description: "What the caller sent; null when it was not recorded." }),
  },
  { description: "The sample." },
);

export const recordings = Type.Object(
  { recorder: recorderState, samples: Type.Array(recordedSample) },
  { description: "The samples." },
);

export const recordingsQuery = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, description: "50 when absent." })),
    triggered: Type.Optional(Type.Boolean({ description: "Only samples that did, or did not, trigger." })),
  },
  { additionalProperties: false },
);

export const sampleParams = Type.Object({
  ...modelParams.properties,
  request: Type.String({ description: "Id of the request." }),
  sample: Type.Integer({ minimum: 0, description: "Number of the sample in its request." }),
});

export const feedbackBody = Type.Object(
  {
    request_id: Type.String({ minLength: 1, maxLength: 128 }),
    sample: Type.Optional(
      Type.Integer({ minimum: 0, description: "Number of the sample in its request; 0 when absent." }),
    ),
    label: Type.Optional(
      Type.Union([Type.String(), Type.Integer()], {
        description: "True class, by name or index. A clean sample may do without: it was answered rightly.",
      }),
    ),
    set: Type.Optional(
      Type.Enum(["failing", "clean"], {
        description: "When absent: failing when the label is not what was answered, else clean.",
      }),
    ),
  },
  { additionalProperties: false, examples: [{ request_id: "3f6c", label: "Stop" }] },
);

export const feedbackList = Type.Object(
  {
    recorder: recorderState,
    marked: Type.Array(
      Type.Object({
        request_id: Type.String(),
        sample: Type.Integer(),
        index: Type.Integer(),
        ...mark.properties,
      }),
    ),
    debug_set: Type.Object(
      {
        failing: Type.Integer(),
        clean: Type.Integer(),
        without_instance: Type.Integer({
          description: "Marked samples that are not in it, because their instance was not recorded.",
        }),
      },
      { description: "What the debug set would hold now." },
    ),
  },
  { description: "The marks." },
);

export const forgotten = Type.Object({ forgotten: Type.Integer() }, { description: "How many there were." });

export const debugSet = {
  description: "The debug set: JSON Lines.",
  content: { "application/x-ndjson": { schema: Type.Unsafe<Buffer>({ type: "string" }) } },
};
