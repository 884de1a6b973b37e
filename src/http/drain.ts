/** Refuses new work once the server is closing; what was accepted before is answered. */
import { Server as NetServer } from "node:net";
import { finished } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Health } from "../service/health.ts";
import { AtPatchError } from "../shared/errors.ts";
import type { App } from "./services.ts";

export function installDrain(app: App, health: Health): void {
  app.addHook("onRequest", async ({ raw, routeOptions }) => {
    if (health.phase !== "closing") return;
    if (routeOptions.config.whileClosing === true) return;
    // A connection that is closed with a part of the body unread is reset, and its client may never see the answer.
    await finished(raw.resume()).catch(() => {});
    throw new AtPatchError("ATPATCH_NOT_READY", "the server is draining");
  });
  // Whatever is answered from now on is the last answer of its connection.
  app.addHook("onSend", async (_request, reply) => {
    if (health.phase === "closing") reply.header("connection", "close");
  });
}

/** How long an open connection without a request is waited for, in milliseconds. */
const lingerMs = 1000;

/**
 * Closes the server without losing a request: it takes no new connections and leaves those that are open one more answer,
 * which closes them. A connection that is cut while its next request is on the way would lose it.
 */
export async function closeGracefully(app: App): Promise<void> {
  const { server } = app;
  if (server.listening) {
    // close() of an HTTP server would cut idle connections at once.
    NetServer.prototype.close.call(server);
    await connectionsGone(server);
  }
  // Connections that are still answering become idle later, and would keep it open.
  const idle = setInterval(() => server.closeIdleConnections(), 100);
  try {
    await app.close();
  } finally {
    clearInterval(idle);
  }
}

/** Resolves once no connection is open, or after {@link lingerMs}. */
async function connectionsGone(server: NetServer): Promise<void> {
  for (const end = performance.now() + lingerMs; performance.now() < end; await sleep(20)) {
    const open = await new Promise((resolve) => server.getConnections((_error, count) => resolve(count)));
    if (open === 0) return;
  }
}
