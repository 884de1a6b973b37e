/** Requests are checked by the schemas of their routes; what does not fit is told by field and expectation. */
import { TypeBoxValidatorCompiler } from "@fastify/type-provider-typebox";
import type { FastifySchemaValidationError } from "fastify/types/schema.js";
import type { App } from "./services.ts";

export function installValidation(app: App): void {
  app.setValidatorCompiler(TypeBoxValidatorCompiler);
  app.setSchemaErrorFormatter((errors, part) => new Error(describeFault(errors, part)));
  // Answers are plain data already; a schema-driven serializer would drop what a schema forgets.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
}

/** One sentence for the first fault: `inputs[0].shape[1]: must be integer`. */
export function describeFault(errors: readonly FastifySchemaValidationError[], part: string): string {
  const [first] = errors;
  if (first === undefined) return `the ${part} does not fit`;
  const path = fieldPath(first.instancePath) || `the ${part}`;
  const at = (field: string): string => (first.instancePath === "" ? field : `${path}.${field}`);
  const { params } = first as { params: Readonly<Record<string, unknown>> };
  // A union reports the faults of its members first.
  const here = errors.filter((error) => error.instancePath === first.instancePath);
  if (here.some((error) => error.keyword === "anyOf"))
    return `${path}: expected one of ${choices(here).join(", ")}`;
  switch (first.keyword) {
    case "required":
      return `${at((params["requiredProperties"] as string[])[0]!)}: the field is missing`;
    case "boolean": // The schema of a field that must not be there.
      return `${path.slice(0, 80)}: there is no such field`;
    case "enum":
      return `${path}: expected one of ${(params["allowedValues"] as unknown[]).join(", ")}`;
    default:
      return `${path}: ${first.message ?? "does not fit"}`;
  }
}

/** What the members of a union allow. */
function choices(errors: readonly FastifySchemaValidationError[]): string[] {
  const named = errors.flatMap(({ keyword, params }) => {
    const { type, allowedValue } = params as { type?: unknown; allowedValue?: unknown };
    return keyword === "type" ? [String(type)] : keyword === "const" ? [JSON.stringify(allowedValue)] : [];
  });
  return [...new Set(named)];
}

/** `/inputs/0/name` as `inputs[0].name`. */
function fieldPath(pointer: string): string {
  return pointer
    .split("/")
    .slice(1)
    .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"))
    .map((step, index) => (/^\d+$/.test(step) ? `[${step}]` : index === 0 ? step : `.${step}`))
    .join("");
}
