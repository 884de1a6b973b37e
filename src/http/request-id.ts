/** Every HTTP request has an id, which every answer echoes. */
import type { IncomingMessage } from "node:http";
import { requestIdOf } from "../shared/request-id.ts";
import type { App } from "./services.ts";

export function requestId(request: Pick<IncomingMessage, "headers">): string {
  return requestIdOf(request.headers["x-request-id"]);
}

export function installRequestId(app: App): void {
  app.decorateRequest("startedAt", 0);
  app.addHook("onRequest", async (request, reply) => {
    request.startedAt = performance.now();
    reply.header("x-request-id", request.id);
  });
}
