/** The id of a request: the caller's when it is well-formed, else a fresh one; echoed in every answer. */
import { randomUUID } from "node:crypto";

export const requestIdPattern = /^[\w.:+/=-]{1,128}$/;

export function requestIdOf(given: unknown): string {
  return typeof given === "string" && requestIdPattern.test(given) ? given : randomUUID();
}
