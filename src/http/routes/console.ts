/** `GET /console`: the operator's page. It holds no secret; what it does needs a token. */
import type { FastifyReply, FastifyRequest } from "fastify";
import { AtPatchError } from "../../shared/errors.ts";
import { consoleHeaders, readConsole } from "../console-files.ts";
import type { App } from "../services.ts";

/** @param folder where the build left the page */
export function consoleRoutes(folder: string) {
  return async (app: App): Promise<void> => {
    const files = await readConsole(folder);
    const send = (name: string, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
      const file = files.get(name);
      if (file === undefined) {
        const what =
          files.size === 0 ? "the console was not built: run npm run build" : "the console has no such file";
        throw new AtPatchError("ATPATCH_NOT_FOUND", what);
      }
      reply.headers(consoleHeaders).header("etag", file.etag).type(file.type);
      if (request.headers["if-none-match"] === file.etag) return reply.code(304).send();
      return reply.send(file.bytes);
    };
    app.get("/console", { schema: { hide: true } }, async (request, reply) => {
      // The page names its files relative to the path without a slash at its end.
      const [path = ""] = request.url.split("?", 1);
      return path.endsWith("/") ? reply.redirect("../console") : send("index.html", request, reply);
    });
    app.get<{ Params: { file: string } }>(
      "/console/:file",
      { schema: { hide: true } },
      async (request, reply) => send(request.params.file, request, reply),
    );
  };
}
