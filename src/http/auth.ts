/** Bearer tokens: who asks, and whether a route may be used. */
import type { FastifyRequest } from "fastify";
import { bearerToken, requireScope, type TokenTable } from "../service/tokens.ts";
import type { App } from "./services.ts";

/** Notes for every request whose token it carries. Nothing is refused here but what guesses tokens. */
export function installPrincipal(app: App, tokens: TokenTable): void {
  app.decorateRequest("principal", null);
  app.addHook("onRequest", async (request) => {
    const token = bearerToken(request.headers.authorization);
    if (token !== undefined) request.principal = tokens.identify(token, request.ip);
  });
}

/**
 * Guards every route of a plugin scope by the scope its `config` names.
 * @throws Error at start when a route names none
 */
export function guardScope(app: App): void {
  app.addHook("onRoute", ({ url, config }) => {
    if (config?.scope === undefined) throw new Error(`route ${url} names no scope`);
  });
  app.addHook("onRequest", async (request) => authorize(request));
}

/** @throws AtPatchError ATPATCH_UNAUTHENTICATED, ATPATCH_FORBIDDEN */
function authorize(request: FastifyRequest): void {
  const { scope } = request.routeOptions.config;
  // A path that is no route: the answer is that there is none.
  if (scope === undefined) return;
  requireScope(request.principal, scope, request.headers.authorization !== undefined);
}
