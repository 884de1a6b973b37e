/** `GET /metrics` for Prometheus. */
import { Type } from "typebox";
import type { App, Services } from "../services.ts";

export function metricsRoutes({ metrics }: Services) {
  return async (app: App): Promise<void> => {
    app.get(
      "/metrics",
      {
        config: { whileClosing: true },
        schema: {
          tags: ["metrics"],
          summary: "Metrics in the Prometheus text format",
          operationId: "metrics",
          response: {
            200: { description: "The metrics.", content: { "text/plain": { schema: Type.String() } } },
          },
        },
      },
      async (_request, reply) => {
        reply.type(metrics.contentType).serializer((text: string) => text);
        return metrics.expose();
      },
    );
  };
}
