/** Pieces that the schemas of several route groups share. */
import { Type, type Static, type TSchema } from "typebox";
import { errorCodes } from "../../shared/errors.ts";

export const errorSchema = Type.Object(
  {
    error: Type.String({ description: "What is wrong and what was expected." }),
    code: Type.Enum(Object.keys(errorCodes), { description: "Stable code of the failure." }),
  },
  { $id: "Failure", description: "A failure." },
);

export const modelParams = Type.Object({ model: Type.String({ description: "Name of a served model." }) });

export const modeSchema = Type.Enum(["off", "observe", "enforce"], {
  description:
    "off: nothing is computed; observe: flags are reported; enforce: flagged columns are repaired.",
});

export const detectorId = Type.String({
  pattern: "^sha256-[0-9a-f]{64}$",
  description: "Id of a detector bundle.",
});

export const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

/** Statuses any call may be answered with. */
const failures = {
  400: "Bad input.",
  401: "A token is needed.",
  403: "The token lacks the scope.",
  404: "Unknown model or detector.",
  409: "The object is in use.",
  412: "The revision is not the expected one.",
  413: "The body is too large.",
  415: "Unsupported content type.",
  422: "Valid, but the model cannot take it.",
  429: "The queue is full, or too many wrong tokens came from the address.",
  503: "Not ready, or draining.",
  504: "The deadline passed.",
} as const;

/** Response schemas of the failures a route may answer with. */
export function failuresOf(...statuses: (keyof typeof failures)[]) {
  const reference = (description: string) =>
    Type.Unsafe<Static<typeof errorSchema>>({ $ref: "Failure#", description });
  return Object.fromEntries(statuses.map((status) => [status, reference(failures[status])]));
}

/** What every admin route says about itself. */
export const adminOnly = { tags: ["admin"], security: [{ bearer: [] }] };
