/** Open Inference Protocol, version 2: objects of its REST form. */
import { Type } from "typebox";

const parameters = Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()]));

const tensorInfo = Type.Object({
  name: Type.String(),
  datatype: Type.String(),
  shape: Type.Array(Type.Integer(), { description: "-1 marks a dimension that varies." }),
});

export const versionParams = Type.Object({ model: Type.String(), version: Type.String() });

export const binaryHeaders = Type.Object({
  "inference-header-content-length": Type.Optional(
    Type.String({ description: "Bytes of JSON at the start of the body; 0 for a raw tensor without JSON." }),
  ),
});

const duration = Type.Object({ count: Type.Integer(), ns: Type.Integer() });

export const statistics = Type.Object(
  {
    model_stats: Type.Array(
      Type.Object({
        name: Type.String(),
        version: Type.String(),
        last_inference: Type.Integer({ description: "Milliseconds since 1970; 0 before the first." }),
        inference_count: Type.Integer({ description: "Samples answered." }),
        execution_count: Type.Integer({ description: "Runs of the model." }),
        inference_stats: Type.Object({
          success: duration,
          fail: duration,
          queue: duration,
          compute_input: duration,
          compute_infer: duration,
          compute_output: duration,
          cache_hit: duration,
          cache_miss: duration,
        }),
        response_stats: Type.Object({}),
        batch_stats: Type.Array(
          Type.Object({
            batch_size: Type.Integer({ description: "Samples of a request." }),
            compute_input: duration,
            compute_infer: duration,
            compute_output: duration,
          }),
        ),
        memory_usage: Type.Array(Type.Object({})),
      }),
    ),
  },
  { description: "Totals since the start." },
);

const tensorConfig = Type.Object({
  name: Type.String(),
  data_type: Type.String(),
  dims: Type.Array(Type.Integer()),
});

export const modelConfig = Type.Object(
  {
    name: Type.String(),
    platform: Type.String(),
    backend: Type.String(),
    max_batch_size: Type.Integer({ description: "0 when the model takes no batches." }),
    input: Type.Array(tensorConfig),
    output: Type.Array(tensorConfig),
  },
  { description: "The configuration." },
);

export const indexBody = Type.Object({
  ready: Type.Optional(Type.Boolean({ description: "Only active detectors." })),
});

export const repositoryIndex = Type.Array(
  Type.Object({
    name: Type.String({ description: "Name of the model." }),
    version: Type.String({ description: "Id of the detector; empty when the model has none." }),
    state: Type.Enum(["READY", "UNAVAILABLE"]),
    reason: Type.String(),
  }),
  { description: "Every detector of every model." },
);

export const loadBody = Type.Object({
  parameters: Type.Optional(
    Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()]), {
      description:
        "detector: an id; config: a JSON text with detector; file:<name>: a bundle in base64. Without any, the detector that was uploaded last.",
    }),
  ),
});

export const unloadBody = Type.Object({
  parameters: Type.Optional(parameters),
});

export const repositoryChanged = Type.Object(
  {
    name: Type.String(),
    detector: Type.Union([Type.String(), Type.Null()]),
    revision: Type.Integer(),
  },
  { description: "What is active now." },
);

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
        // Not a list of anything: looking at every element would take longer than reading them.
        data: Type.Optional(
          Type.Unsafe<readonly unknown[]>({
            type: "array",
            description: "Row-major, nested or flat; absent when parameters.binary_data_size is there.",
          }),
        ),
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
        parameters: Type.Optional(
          Type.Object({
            binary_data_size: Type.Integer({ description: "Bytes of the tensor behind the JSON." }),
          }),
        ),
        data: Type.Optional(Type.Array(Type.Union([Type.Number(), Type.Boolean(), Type.String()]))),
      }),
    ),
  },
  { description: "The outputs." },
);
