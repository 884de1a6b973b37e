/** Every answer is counted and timed by its route template, and logged without its inputs. */
import type { FastifyRequest } from "fastify";
import type { Metrics } from "../metrics/metrics.ts";
import type { App } from "./services.ts";

export function installObservation(app: App, metrics: Metrics): void {
  app.addHook("onResponse", async (request, reply) => {
    const route = routeTemplate(request);
    const { statusCode: status, elapsedTime } = reply;
    metrics.http(request.method, route, status, elapsedTime);
    const line = { method: request.method, route, status, ms: Math.round(elapsedTime * 100) / 100 };
    if (status < 400) request.log.debug(line, "answered");
    else request.log.info(line, "refused");
  });
}

/** The route as the API description writes it, e.g. `/v1/models/{model}:predict`; never the path of the request. */
export function routeTemplate(request: Pick<FastifyRequest, "routeOptions">): string {
  const { url } = request.routeOptions;
  if (url === undefined) return "unmatched";
  return url.replace(/(?<!:):(\w+)(?:\(.*?\))?(?=::|[/]|$)/g, "{$1}").replaceAll("::", ":");
}
