/** `GET /admin/events`: what happens in the server as server-sent events; `Last-Event-ID` asks for those missed. */
import type { ServerResponse } from "node:http";
import type { EventBus, ServerEvent } from "../../service/events.ts";
import { eventHeaders, eventStream } from "../schemas/admin.ts";
import { adminOnly, failuresOf } from "../schemas/common.ts";
import type { App, Services } from "../services.ts";

const heartbeatMs = 15_000;
/** Bytes a slow reader may lag behind before it is dropped; more than all events that are kept. */
const mostBacklog = 4 * 2 ** 20;
/** Milliseconds after which a client whose connection broke should come back. */
const retryMs = 2_000;

export function eventRoutes({ events }: Services) {
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
          summary: "What happens, as server-sent events",
          operationId: "events",
          headers: eventHeaders,
          response: { 200: eventStream, ...failuresOf(401, 403) },
        },
      },
      (request, reply) => {
        reply.hijack();
        const stream = reply.raw;
        stream.writeHead(200, {
          "content-type": "text/event-stream",
          "cache-control": "no-store",
          "x-request-id": request.id,
          // Nothing follows on this connection; kept alive it would hold up the end of the server.
          connection: "close",
        });
        open.add(stream);
        const stop = tell(stream, events, lastSeen(request.headers["last-event-id"]));
        stream.once("close", () => {
          stop();
          open.delete(stream);
        });
      },
    );
  };
}

/** Writes what was missed and then every event, until the returned function is called or the reader is too slow. */
function tell(stream: ServerResponse, events: EventBus, after: number | undefined): () => void {
  const write = (text: string): void => {
    if (stream.destroyed) return;
    stream.write(text);
    if (stream.writableLength > mostBacklog) stream.destroy();
  };
  write(`retry: ${retryMs}\n: connected\n\n`);
  const { missed, complete, stop } = events.subscribe((event) => write(textOf(event)), after);
  if (!complete) write(textOf({ id: null, name: "gap", data: { after } }));
  for (const event of missed) write(textOf(event));
  const heartbeat = setInterval(() => write(": alive\n\n"), heartbeatMs);
  return () => {
    clearInterval(heartbeat);
    stop();
  };
}

function textOf({ id, name, data }: ServerEvent): string {
  return `${id === null ? "" : `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** The id a client has seen last; one that is none of ours counts as older than everything. */
function lastSeen(given: string | undefined): number | undefined {
  if (given === undefined || given === "") return undefined;
  const id = Number(given);
  return Number.isSafeInteger(id) && id >= 0 ? id : 0;
}
