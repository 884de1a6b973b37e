/** Open Inference Protocol, version 2: objects of its REST form. */
import { Type } from "typebox";

const parameters = Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()]));

const tensorInfo = Type.Object({
  name: Type.String(),
  datatype: Type.String(),
  shape: Type.Array(Type.Integer(), { description: "-1 marks a dimension that varies." }),
});

export const versionParams = Type.Object({ model: Type.String(), version: Type.String() });

export const serverMetadata = Type.Object(
  {
    name: Type.String(),
    version: Type.String(),
    extensions: Type.Array(Type.String()),
  },
  { description: "The server." },
);

export const modelMetadata = Type.Object(
  {
    name: Type.String(),
    versions: Type.Array(Type.String()),
    platform: Type.String(),
    inputs: Type.Array(tensorInfo),
    outputs: Type.Array(tensorInfo),
    properties: Type.Record(Type.String(), Type.String()),
  },
  { description: "The model." },
);

export const serverLive = Type.Object({ live: Type.Boolean() }, { description: "It lives." });
export const serverReady = Type.Object({ ready: Type.Boolean() }, { description: "It is ready." });
export const modelReady = Type.Object(
  { name: Type.String(), ready: Type.Boolean() },
  { description: "It is ready." },
);

export const inferBody = Type.Object(
  {
    id: Type.Optional(Type.String({ maxLength: 1024 })),
    parameters: Type.Optional(parameters),
    inputs: Type.Array(
      Type.Object({
        name: Type.String(),
        shape: Type.Array(Type.Integer({ minimum: 0 }), { maxItems: 16 }),
        datatype: Type.String(),
        parameters: Type.Optional(parameters),
        data: Type.Array(Type.Unknown(), { description: "Row-major, nested or flat." }),
      }),
      { minItems: 1 },
    ),
    outputs: Type.Optional(
      Type.Array(Type.Object({ name: Type.String(), parameters: Type.Optional(parameters) })),
    ),
  },
  {
    examples: [
      { id: "42", inputs: [{ name: "x", shape: [1, 4], datatype: "FP32", data: [0.1, 0.2, 0.3, 0.4] }] },
    ],
  },
);

export const inferAnswer = Type.Object(
  {
    model_name: Type.String(),
    model_version: Type.String(),
    id: Type.Optional(Type.String()),
    parameters: Type.Object({
      atpatch_detector: Type.String({ description: 'Detector id, or "none".' }),
      atpatch_mode: Type.String(),
      atpatch_triggered: Type.String({ description: "0 or 1 per sample, comma-separated." }),
      atpatch_revision: Type.Integer(),
    }),
    outputs: Type.Array(
      Type.Object({
        name: Type.String(),
        shape: Type.Array(Type.Integer()),
        datatype: Type.String(),
        data: Type.Array(Type.Union([Type.Number(), Type.Boolean()])),
      }),
    ),
  },
  { description: "The outputs." },
);
