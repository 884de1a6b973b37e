/** Refuses new work once the server is closing; what was accepted before is answered. */
import type { Health } from "../service/health.ts";
import { AtPatchError } from "../shared/errors.ts";
import type { App } from "./services.ts";

export function installDrain(app: App, health: Health): void {
  app.addHook("onRequest", async (request) => {
    if (health.phase !== "closing") return;
    if (request.routeOptions.config.whileClosing === true) return;
    throw new AtPatchError("ATPATCH_NOT_READY", "the server is draining");
  });
  // Whatever is answered from now on is the last answer of its connection.
  app.addHook("onSend", async (_request, reply) => {
    if (health.phase === "closing") reply.header("connection", "close");
  });
}
