/** The id of a request: the caller's `x-request-id` when it is well-formed, else a fresh one; echoed in every answer. */
import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { App } from "./services.ts";

export const requestIdPattern = /^[\w.:+/=-]{1,128}$/;

export function requestId(request: Pick<IncomingMessage, "headers">): string {
  const given = request.headers["x-request-id"];
  return typeof given === "string" && requestIdPattern.test(given) ? given : randomUUID();
}

export function installRequestId(app: App): void {
  app.decorateRequest("startedAt", 0);
  app.addHook("onRequest", async (request, reply) => {
    request.startedAt = performance.now();
    reply.header("x-request-id", request.id);
  });
}
