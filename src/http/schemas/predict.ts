/** KServe V1: predictions and the list of models. */
import { Type, type Static } from "typebox";
import { detectorId, modeSchema, nullable } from "./common.ts";

export const predictBody = Type.Object(
  {
    instances: Type.Array(Type.Unknown(), {
      description:
        'Samples: a text; {"b64": "<PNG, JPEG or WebP>"}; a row as a list or an object; nested numbers; by the model\'s task.',
      minItems: 1,
    }),
    parameters: Type.Optional(
      Type.Object(
        {
          mode: Type.Optional(
            Type.Enum(["off", "observe", "enforce"], {
              description:
                "The policy's mode when absent, and never a stronger one. A weaker one needs a token with the scope predict:override, unless the operator configured no token.",
            }),
          ),
          explain: Type.Optional(
            Type.Boolean({ description: "Attention mass before and after, per flagged column." }),
          ),
          top_k: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: 10_000,
              description: "Labels listed with their probabilities; 5.",
            }),
          ),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { examples: [{ instances: [{ b64: "<PNG, JPEG or WebP>" }], parameters: { mode: "enforce", top_k: 5 } }] },
);

const place = Type.Union([
  Type.Object({
    patch: Type.Array(Type.Integer(), {
      minItems: 2,
      maxItems: 2,
      description: "Row and column of the patch.",
    }),
    box: Type.Array(Type.Number(), {
      minItems: 4,
      maxItems: 4,
      description: "x, y, width and height in pixels of the picture that was sent.",
    }),
  }),
  Type.Object({ token: Type.String(), start: Type.Integer(), end: Type.Integer() }),
  Type.Object({ feature: Type.String() }),
]);

export type PlaceBody = Static<typeof place>;

const column = Type.Object({
  index: Type.Integer({ description: "Key position." }),
  axis: Type.Optional(Type.Integer({ description: "Key axis, when the model has several." })),
  score: Type.Number({ description: "Probability by the detector; 1 where it is forced." }),
  forced: Type.Optional(
    Type.Literal(true, { description: "Repaired in every sample, whatever it holds: no finding." }),
  ),
  sites: Type.Array(Type.Integer(), { description: "Attention sites at which the column is treated." }),
  at: Type.Optional(place),
  attention: Type.Optional(
    Type.Array(Type.Object({ site: Type.Integer(), before: Type.Number(), after: Type.Number() }), {
      description: "Mean attention on the column before and after the patch, when asked to explain.",
    }),
  ),
});

export const predictAnswer = Type.Object(
  {
    model_name: Type.String(),
    predictions: Type.Array(
      Type.Object({
        label: Type.String(),
        index: Type.Integer(),
        score: Type.Number(),
        probabilities: Type.Record(Type.String(), Type.Number()),
        atpatch: Type.Object({
          mode: modeSchema,
          triggered: Type.Boolean(),
          failed_open: Type.Optional(
            Type.Boolean({ description: "Detection failed; this is the unpatched answer." }),
          ),
          columns: Type.Array(column),
          attention: Type.Optional(
            Type.Object(
              {
                places: Type.Array(nullable(place), {
                  description: "What each key column stands for; null for what was not sent.",
                }),
                sites: Type.Array(
                  Type.Object({
                    site: Type.Integer(),
                    before: Type.Array(Type.Number()),
                    after: Type.Array(Type.Number()),
                  }),
                ),
              },
              {
                description:
                  "When asked to explain: mean attention on every key column of the first axis before and after the patch, per site; each adds up to 1.",
              },
            ),
          ),
        }),
      }),
    ),
    atpatch: Type.Object({ detector: nullable(detectorId), revision: Type.Integer() }),
  },
  { description: "One prediction per instance, and the detector that looked at them." },
);

export const modelList = Type.Object({ models: Type.Array(Type.String()) }, { description: "Names." });

export const modelStatus = Type.Object(
  {
    name: Type.String(),
    ready: Type.Boolean(),
    task: Type.String(),
    labels: Type.Array(Type.String()),
  },
  { description: "The model's state." },
);
