/** The metadata document of a bundle: its schema, as JSON in the safetensors metadata entry `atpatch`. */
import { Type } from "typebox";
import { Value } from "typebox/value";
import { AtPatchError } from "../shared/errors.ts";
import { hasDuplicateKeys } from "../shared/json-keys.ts";
import type { BundleMetadata } from "./bundle.ts";

/** Most sites a bundle may name. */
export const maxSites = 1024;
/** Most key positions, queries or features. */
export const maxExtent = 65_536;

const site = Type.Integer({ minimum: 0, maximum: maxSites - 1 });
const closed = { additionalProperties: false };

export const bundleMetadataSchema = Type.Object(
  {
    format: Type.Literal(1),
    model: Type.String({ pattern: "^sha256-[0-9a-f]{64}$" }),
    sites: Type.Integer({ minimum: 1, maximum: maxSites }),
    detectionSites: Type.Array(site),
    features: Type.Enum(["attention", "value", "attention+value"]),
    kernel: Type.Enum([1, 3]),
    reference: Type.Enum(["benign", "attention-only", "zero"]),
    keys: Type.Union([Type.Null(), Type.Integer({ minimum: 1, maximum: maxExtent })]),
    forced: Type.Optional(
      Type.Array(Type.Integer({ minimum: 0, maximum: maxExtent - 1 }), { uniqueItems: true }),
    ),
    thresholds: Type.Array(Type.Object({ site, gate: Type.Number(), column: Type.Number() }, closed)),
    provenance: Type.Record(Type.String(), Type.Unknown()),
    report: Type.Record(Type.String(), Type.Unknown()),
  },
  closed,
);

/**
 * Reads the document.
 * @throws AtPatchError ATPATCH_BAD_BUNDLE naming the field
 */
export function parseBundleMetadata(text: string | undefined): BundleMetadata {
  if (text === undefined) throw bad("there is no metadata entry atpatch: this file is no detector bundle");
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw new AtPatchError("ATPATCH_BAD_BUNDLE", "bundle metadata: the entry atpatch is no JSON", { cause });
  }
  if (hasDuplicateKeys(text)) throw bad("the entry atpatch has the same field twice");
  return checkBundleMetadata(document);
}

/** What the document says about the tensors is checked with them. */
function checkBundleMetadata(document: unknown): BundleMetadata {
  if (!Value.Check(bundleMetadataSchema, document)) throw bad(firstFault(document));
  for (const field of ["detectionSites", "thresholds"] as const) {
    const sites = document[field].map((entry) => (typeof entry === "number" ? entry : entry.site));
    if (sites.some((index, position) => index <= (sites[position - 1] ?? -1) || index >= document.sites)) {
      throw bad(
        `${field}: expected sites in rising order below ${document.sites}, got [${sites.join(", ")}]`,
      );
    }
  }
  const detecting = document.detectionSites.join(", ");
  if (document.thresholds.map((entry) => entry.site).join(", ") !== detecting) {
    throw bad(`thresholds: expected one entry for each of the detection sites [${detecting}]`);
  }
  return document;
}

function firstFault(document: unknown): string {
  const fault = Value.Errors(bundleMetadataSchema, document)[0];
  if (!fault) return "it does not fit the schema";
  const field = fault.instancePath.slice(1).replaceAll("/", ".");
  const place = field ? `${field}: ` : "";
  if (fault.keyword === "boolean") return `${place}there is no such field`;
  if (fault.keyword === "enum") return `${place}expected one of ${fault.params.allowedValues.join(", ")}`;
  if (fault.keyword === "const") return `${place}expected ${String(fault.params.allowedValue)}`;
  return place + fault.message;
}

function bad(message: string): AtPatchError {
  return new AtPatchError("ATPATCH_BAD_BUNDLE", `bundle metadata: ${message}`);
}
