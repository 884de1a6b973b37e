/** `atpatch.json`: what a model folder may say about itself beyond its Hugging Face files. Everything is optional. */
import { Type, type Static, type TSchema } from "typebox";
import { Value } from "typebox/value";
import { AtPatchError } from "../shared/errors.ts";
import { isJsonObject, type JsonObject } from "./folder-files.ts";

const strict = { additionalProperties: false };
const name = Type.String({ minLength: 1, maxLength: 200 });
const count = Type.Integer({ minimum: 1 });

/** A column of a table whose value is one of a fixed list; it travels in the tensor as its index. */
export const CategoryColumn = Type.Object(
  {
    name,
    kind: Type.Literal("category"),
    categories: Type.Array(Type.String(), { minItems: 1, uniqueItems: true }),
    protected: Type.Optional(
      Type.Object(
        {
          privileged: Type.Array(Type.String(), { minItems: 1 }),
          values: Type.Optional(Type.Array(Type.String(), { minItems: 2 })),
        },
        strict,
      ),
    ),
  },
  strict,
);

/** A column of a table that holds a number. */
export const NumberColumn = Type.Object(
  {
    name,
    kind: Type.Literal("number"),
    protected: Type.Optional(
      Type.Object(
        {
          /** A comparison, such as `"> 25"`. */
          privileged: Type.String({ pattern: "^\\s*(<=|>=|<|>)\\s*-?\\d+(\\.\\d+)?\\s*$" }),
          values: Type.Optional(Type.Array(Type.Number(), { minItems: 2 })),
        },
        strict,
      ),
    ),
  },
  strict,
);

export type CategoryColumn = Static<typeof CategoryColumn>;
export type NumberColumn = Static<typeof NumberColumn>;
export type Column = CategoryColumn | NumberColumn;

const properties = {
  task: Type.Enum(["text-classification", "image-classification", "tabular-classification", "tensor"]),
  labels: Type.Array(name, { minItems: 1, uniqueItems: true }),
  /** Whether requests that name no model are for this one. */
  default: Type.Boolean(),
  /** Index of the label that is good for the person concerned. */
  favourable: Type.Integer({ minimum: 0 }),
  limits: Type.Object(
    {
      /** Instances in one request. */
      instances: Type.Optional(count),
      /** Width × height of an encoded image before it is resized. */
      pixels: Type.Optional(count),
    },
    strict,
  ),
  engine: Type.Object(
    {
      workers: Type.Optional(count),
      threads: Type.Optional(count),
      queue: Type.Optional(count),
      deadline_ms: Type.Optional(count),
      /** Most samples of waiting requests that share a run; 1 for none. */
      batch: Type.Optional(count),
      /** Longest wait for company while a worker is idle. */
      batch_delay_ms: Type.Optional(Type.Integer({ minimum: 0 })),
    },
    strict,
  ),
  policy: Type.Object(
    {
      mode: Type.Optional(Type.Enum(["off", "observe", "enforce"])),
      onError: Type.Optional(Type.Enum(["open", "closed"])),
    },
    strict,
  ),
  columns: Type.Array(Type.Unsafe<Column>({}), { minItems: 1 }),
  /** Key position of the first column: 1 where [CLS] comes first. */
  firstKey: Type.Integer({ minimum: 0 }),
  /** Rows and columns of the patches of an image, where neither configuration nor graph tells them. */
  grid: Type.Array(count, { minItems: 2, maxItems: 2 }),
  /** Which output holds the class scores, and whether they are probabilities already. */
  output: Type.Object(
    {
      name: Type.Optional(Type.String({ minLength: 1 })),
      kind: Type.Optional(Type.Enum(["logits", "probabilities"])),
    },
    strict,
  ),
} as const;

type Properties = typeof properties;

/** Content of a valid `atpatch.json`; `{}` when there is none. */
export type AtPatchSettings = { readonly [K in keyof Properties]?: Static<Properties[K]> };

/**
 * Checks the content of `atpatch.json`.
 * @throws AtPatchError ATPATCH_BAD_MODEL with every fault in one message
 */
export function parseAtPatchSettings(content: JsonObject): AtPatchSettings {
  const faults: string[] = [];
  for (const [key, value] of Object.entries(content)) {
    const schema: TSchema | undefined = Object.hasOwn(properties, key)
      ? properties[key as keyof Properties]
      : undefined;
    if (schema) faults.push(...schemaFaults(schema, value, key));
    else faults.push(`${key}: unknown key (known: ${Object.keys(properties).join(", ")})`);
  }
  if (Array.isArray(content.columns)) faults.push(...columnFaults(content.columns));
  if (faults.length === 0) faults.push(...contradictions(content));
  if (faults.length > 0) throw new AtPatchError("ATPATCH_BAD_MODEL", `atpatch.json: ${faults.join("; ")}`);
  return content;
}

function columnFaults(columns: readonly unknown[]): string[] {
  return columns.flatMap((column, i) => {
    const at = `columns[${i}]`;
    if (!isJsonObject(column)) return [`${at}: must be an object`];
    if (column.kind === "category") return schemaFaults(CategoryColumn, column, at);
    if (column.kind === "number") return schemaFaults(NumberColumn, column, at);
    return [`${at}.kind: must be "category" or "number"`];
  });
}

/** What a schema cannot say: references between keys. Called on content whose shape is right. */
function contradictions(settings: AtPatchSettings): string[] {
  const faults: string[] = [];
  const { labels, favourable, columns = [] } = settings;
  if (labels && favourable !== undefined && favourable >= labels.length) {
    faults.push(`favourable: ${favourable} is no index of the ${labels.length} labels`);
  }
  const names = columns.map((column) => column.name);
  columns.forEach((column, i) => {
    if (names.indexOf(column.name) !== i) faults.push(`columns[${i}].name: "${column.name}" is named twice`);
    if (column.kind !== "category") return;
    for (const key of ["privileged", "values"] as const) {
      for (const value of column.protected?.[key] ?? []) {
        if (!column.categories.includes(value)) {
          faults.push(`columns[${i}].protected.${key}: "${value}" is none of the categories`);
        }
      }
    }
  });
  return faults;
}

/** Faults of a value as `"limits.pixels: must be >= 1"`. */
function schemaFaults(schema: TSchema, value: unknown, at: string): string[] {
  return Value.Errors(schema, value).flatMap((error) => {
    // The same unknown key is also reported at the object that holds it, which says more.
    if (error.keyword === "boolean") return [];
    const place = at + error.instancePath.replace(/\/(\d+)(?=\/|$)/g, "[$1]").replace(/\/([^/]+)/g, ".$1");
    if (error.keyword === "additionalProperties") {
      return error.params.additionalProperties.map((key) => `${place}.${key}: unknown key`);
    }
    if (error.keyword === "enum") {
      return [
        `${place}: must be one of ${error.params.allowedValues.map((v) => JSON.stringify(v)).join(", ")}`,
      ];
    }
    return [`${place}: ${error.message}`];
  });
}
