/** Objects of the admin interface. */
import { Type } from "typebox";
import { policySchema } from "../../detector/policy.ts";
import { detectorId, modelParams, nullable } from "./common.ts";

const document = Type.Record(Type.String(), Type.Unknown());

const state = {
  active: nullable(detectorId),
  previous: nullable(detectorId),
  policy: policySchema,
};

/** What answers to every change. */
export const snapshot = Type.Object(
  { model: Type.String(), revision: Type.Integer(), ...state },
  { description: "The state after the change." },
);

const site = Type.Object({
  index: Type.Integer(),
  layer: Type.Integer(),
  kind: Type.Enum(["self", "cross"]),
  form: Type.String(),
  rank: Type.Integer(),
  dims: Type.String(),
  heads: nullable(Type.Integer()),
  keys: Type.Optional(nullable(Type.Integer())),
  where: Type.String(),
  axis: Type.Integer(),
  node: Type.String(),
  mask: Type.String(),
});

const totals = { requests: Type.Integer(), samples: Type.Integer(), triggered: Type.Integer() };

const shadowState = Type.Object(
  {
    detector: detectorId,
    since: Type.String(),
    samples: Type.Integer(),
    dropped: Type.Integer({ description: "Samples not scored because scoring could not keep up." }),
    agreement: Type.Object(
      { both: Type.Integer(), active: Type.Integer(), shadow: Type.Integer(), neither: Type.Integer() },
      { description: "Samples by who triggered." },
    ),
  },
  { description: "How the shadow agrees with the detector that answers, since it was set." },
);

const guardFigures = Type.Object({
  detector: detectorId,
  samples: Type.Integer(),
  trigger_rate: nullable(Type.Number()),
  checked: Type.Integer({ description: "Repaired samples that were run again without the patch." }),
  label_flip_rate: nullable(Type.Number()),
});
const guardState = Type.Object(
  {
    armed: Type.Boolean({
      description:
        "False once the guard has acted, until somebody activates a detector or sets the guard anew.",
    }),
    active: nullable(guardFigures),
    canary: nullable(guardFigures),
  },
  { description: "What the guard sees within its window." },
);

export const recorderState = Type.Object(
  {
    mode: Type.Enum(["off", "features", "inputs"]),
    samples: Type.Integer(),
    marked: Type.Integer(),
    bytes: Type.Integer(),
    oldest: nullable(Type.String()),
    limits: Type.Object({ samples: Type.Integer(), bytes: Type.Integer(), age_s: Type.Number() }),
  },
  { description: "What is recorded of the traffic, in memory alone." },
);

export const modelState = Type.Object(
  {
    ...snapshot.properties,
    task: Type.String(),
    labels: Type.Array(Type.String()),
    ready: Type.Boolean(),
    queued: Type.Integer(),
    compute: Type.Object({ workers: Type.Integer(), threads: Type.Integer() }),
    fingerprint: Type.String(),
    sites: Type.Array(site),
    counters: Type.Object({
      ...totals,
      detectors: Type.Array(Type.Object({ detector: nullable(detectorId), ...totals }), {
        description: "By detector, the one used last at the end.",
      }),
    }),
    shadow: nullable(shadowState),
    guard: nullable(guardState),
    recorder: recorderState,
  },
  { description: "The model." },
);

export const tryOut = Type.Object(
  {
    columns: nullable(
      Type.Array(document, { description: "Columns of a table in feature order, as in atpatch.json." }),
    ),
    samples: Type.Array(Type.Object({ name: Type.String(), instance: Type.Unknown() })),
  },
  { description: "What comes with the model to be tried out." },
);

export const modelStates = Type.Object({ models: Type.Array(modelState) }, { description: "The models." });

export const detectorParams = Type.Object({ ...modelParams.properties, id: Type.String() });

const roles = ["active", "canary", "shadow", "previous"] as const;
const stored = {
  id: detectorId,
  size: Type.Integer({ description: "Bytes." }),
  uploadedAt: Type.String(),
  role: nullable(Type.Enum([...roles], { description: "The weightiest of its roles." })),
  roles: Type.Array(Type.Enum([...roles])),
};

export const detectorList = Type.Object(
  { detectors: Type.Array(Type.Object(stored)) },
  { description: "The detectors." },
);
export const detectorDescription = Type.Object(
  { ...stored, metadata: document },
  { description: "The detector." },
);
export const uploaded = Type.Object({ id: detectorId, report: document });

/** The bytes of a bundle, on the way in and out. */
export const bundleBytes = {
  description: "A detector bundle: safetensors.",
  content: {
    "application/octet-stream": {
      schema: Type.Unsafe<Buffer>({ contentMediaType: "application/octet-stream" }),
    },
  },
};
export const eventHeaders = Type.Object({
  "last-event-id": Type.Optional(
    Type.String({ description: "Id of the last event seen; those missed since are sent first." }),
  ),
});
export const eventStream = {
  description:
    "Changes carry the history entry with the model's name. `trigger_rate` and other figures of the moment have no id. " +
    "`gap` says that events after the id asked for are not known any more: read the state again.",
  content: { "text/event-stream": { schema: Type.String() } },
};
export const removed = Type.Unsafe<undefined>({ type: "null", description: "Removed." });

const reason = Type.Optional(
  nullable(Type.String({ maxLength: 500, description: "Why; kept in the history." })),
);

export const activateBody = Type.Object(
  { detector: nullable(Type.String({ description: "Id of a stored detector, or null for none." })), reason },
  {
    additionalProperties: false,
    examples: [{ detector: `sha256-${"0".repeat(64)}`, reason: "made from Tuesday's failures" }],
  },
);
export const rollbackBody = Type.Object({ reason }, { additionalProperties: false });

/** The registry checks the fields, all at once. */
export const policyBody = Type.Object(
  {
    mode: Type.Optional(Type.Unknown({ description: "off, observe or enforce" })),
    onError: Type.Optional(Type.Unknown({ description: "open or closed" })),
    shadow: Type.Optional(
      Type.Unknown({ description: "Id of a detector that is scored beside the active one, or null." }),
    ),
    canary: Type.Optional(
      Type.Unknown({ description: '`{"detector", "percent"}`: a share of the requests gets it; or null.' }),
    ),
    guard: Type.Optional(
      Type.Unknown({
        description:
          '`{"window_s", "max_trigger_rate", "max_label_flip_rate", "min_samples"}`: beyond a limit the detector is ' +
          "rolled back by itself; or null.",
      }),
    ),
    reason,
  },
  { examples: [{ mode: "observe", guard: { window_s: 60, max_trigger_rate: 0.2 }, reason: "look first" }] },
);

export const revisionHeaders = Type.Object({
  "if-match": Type.Optional(
    Type.String({ description: "Revision the caller has seen; 412 when it has moved on." }),
  ),
});

export const historyQuery = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
    before: Type.Optional(Type.Integer({ minimum: 0, description: "Only entries with a smaller sequence." })),
  },
  { additionalProperties: false },
);

export const history = Type.Object(
  {
    entries: Type.Array(
      Type.Object({
        sequence: Type.Integer(),
        revision: Type.Integer(),
        at: Type.String(),
        actor: Type.String(),
        action: Type.String(),
        detector: nullable(detectorId),
        reason: nullable(Type.String()),
        before: Type.Object(state),
        after: Type.Object(state),
        parent: nullable(Type.String()),
      }),
    ),
  },
  { description: "The entries." },
);
