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
  const path = fieldPath(first.instancePath);
  const { params } = first as { params: Readonly<Record<string, unknown>> };
  const at = (field: string): string => (path === "" ? field : `${path}.${field}`);
  switch (first.keyword) {
    case "required": {
      const missing = (params["requiredProperties"] ?? [params["missingProperty"]]) as string[];
      return `${at(missing[0]!)}: the field is missing`;
    }
    case "additionalProperties": {
      const [unknown] = params["additionalProperties"] as string[];
      return `${at(unknown!.slice(0, 40))}: there is no such field`;
    }
    case "enum":
      return `${path}: expected one of ${(params["allowedValues"] as unknown[]).join(", ")}`;
    case "anyOf": {
      const choices = errors.filter((error) => error.keyword === "const" || error.keyword === "type");
      const words = choices.map((error) => {
        const choice = error.params as { allowedValue?: unknown; type?: unknown };
        return JSON.stringify(choice.allowedValue ?? choice.type);
      });
      return `${path || `the ${part}`}: expected one of ${[...new Set(words)].join(", ")}`;
    }
    default:
      return `${path || `the ${part}`}: ${first.message ?? "does not fit"}`;
  }
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
