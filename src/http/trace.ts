/** One span for every request but those of probes and scrapers; the answer names it. */
import type { ServerTrace, Tracing } from "../service/trace.ts";
import { routeTemplate } from "./observe.ts";
import type { App } from "./services.ts";

export function installTracing(app: App, tracing: Tracing | null): void {
  app.decorateRequest("trace", null);
  if (tracing === null) return;
  app.addHook("onRequest", async (request, reply) => {
    if (request.routeOptions.config.whileClosing === true) return;
    const trace: ServerTrace = tracing.begin(request.headers, request.startedAt);
    request.trace = trace;
    reply.header("traceparent", trace.traceparent);
    reply.raw.once("close", () => {
      const route = routeTemplate(request);
      const { statusCode: status } = reply;
      const hungUp = !reply.raw.writableFinished;
      trace.end({
        name: `${request.method} ${route}`,
        attributes: {
          "http.request.method": request.method,
          "http.route": route,
          "http.response.status_code": status,
          "atpatch.request_id": request.id,
          ...(hungUp ? { "error.type": "cancelled" } : status >= 500 && { "error.type": String(status) }),
        },
        failed: hungUp || status >= 500,
      });
    });
  });
}
