/** `GET /admin/events`: every change of a model's detectors or policy as a server-sent event, as it happens. */
import type { ServerResponse } from "node:http";
import { eventStream } from "../schemas/admin.ts";
import { adminOnly, failuresOf } from "../schemas/common.ts";
import type { App, Services } from "../services.ts";

const heartbeatMs = 15_000;
/** Bytes a slow reader may lag behind before it is dropped. */
const mostBacklog = 2 ** 20;

export function eventRoutes({ admin }: Services) {
  return async (app: App): Promise<void> => {
    const open = new Set<ServerResponse>();
    app.addHook("preClose", async () => {
      for (const stream of open) stream.end();
    });
    app.get(
      "/events",
      {
        config: { scope: "read" },
        schema: {
          ...adminOnly,
          summary: "Changes of detectors and policy as server-sent events",
          operationId: "events",
          response: { 200: eventStream, ...failuresOf(401, 403) },
        },
      },
      (request, reply) => {
        reply.hijack();
        const stream = reply.raw;
        const write = (text: string): void => {
          if (stream.writableLength > mostBacklog) stream.destroy();
          else stream.write(text);
        };
        stream.writeHead(200, {
          "content-type": "text/event-stream",
          "cache-control": "no-store",
          "x-request-id": request.id,
        });
        write(": connected\n\n");
        open.add(stream);
        const unsubscribe = admin.subscribe(({ model, entry }) => {
          const id = `${model}/${entry.sequence}`;
          write(`id: ${id}\nevent: ${entry.action}\ndata: ${JSON.stringify({ model, ...entry })}\n\n`);
        });
        const heartbeat = setInterval(() => write(": alive\n\n"), heartbeatMs);
        stream.once("close", () => {
          clearInterval(heartbeat);
          unsubscribe();
          open.delete(stream);
        });
      },
    );
  };
}
