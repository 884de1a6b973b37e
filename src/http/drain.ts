/** Refuses new work once the server is closing; what was accepted before is answered. */
import type { Health } from "../service/health.ts";
import { AtPatchError } from "../shared/errors.ts";
import type { App } from "./services.ts";

export function installDrain(app: App, health: Health): void {
  app.addHook("onRequest", async (request, reply) => {
    if (health.phase !== "closing") return;
    reply.header("connection", "close");
    if (request.routeOptions.config.whileClosing === true) return;
    throw new AtPatchError("ATPATCH_NOT_READY", "the server is draining");
  });
}
