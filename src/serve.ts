/** The server as a process: compose, listen, say so, and drain at a stop signal. */
import { setTimeout as sleep } from "node:timers/promises";
import closeWithGrace from "close-with-grace";
import { composeServer, type ComposedServer } from "./compose.ts";
import { closeGracefully } from "./http/drain.ts";
import type { App } from "./http/services.ts";
import type { Settings } from "./settings.ts";
import { AtPatchError, messageOf } from "./shared/errors.ts";

/**
 * Serves until the process is told to stop: ready turns 503, accepted requests are answered, then it exits with 0.
 * Resolves once it listens.
 * @param print gets the summary, which holds the generated token and must not go to a log
 * @throws AtPatchError ATPATCH_BAD_SETTINGS, also for an address that cannot be listened on; ATPATCH_BAD_MODEL
 */
export async function serve(settings: Settings, print: (text: string) => void): Promise<void> {
  const server = await composeServer(settings);
  const url = await listen(server, server.app, settings.host, settings.port, "ATPATCH_HOST and ATPATCH_PORT");
  const admin = await listenAdmin(server, settings);
  print(summary(server, settings, { url, admin: admin ?? url, grpc: await listenGrpc(server, settings) }));
  closeWithGrace(
    { delay: settings.drainDelayMs + settings.drainMs, logger: server.logger },
    async ({ err, signal }) => {
      if (err) server.logger.fatal({ err }, "unexpected failure, stopping");
      else server.logger.info({ signal }, "draining");
      await drain(server, settings.drainDelayMs);
      server.logger.info("stopped");
    },
  );
}

/** Not ready, then closed to new work, then everything that was accepted answered. */
export async function drain(
  server: Pick<ComposedServer, "app" | "grpc" | "services" | "close"> &
    Partial<Pick<ComposedServer, "adminApp">>,
  delayMs: number,
): Promise<void> {
  const { app, adminApp, grpc, services } = server;
  services.health.enter("draining");
  if (delayMs > 0) await sleep(delayMs);
  services.health.enter("closing");
  await Promise.all([closeGracefully(app), adminApp && closeGracefully(adminApp), grpc.close()]);
  await server.close();
}

/** @param names the settings that the address comes from */
async function listen(
  server: ComposedServer,
  app: App,
  host: string,
  port: number,
  names: string,
): Promise<string> {
  try {
    return await app.listen({ host, port });
  } catch (error) {
    await drain(server, 0);
    const what = `${names}: cannot listen on ${host}:${port}: ${messageOf(error)}`;
    throw new AtPatchError("ATPATCH_BAD_SETTINGS", what, { cause: error });
  }
}

/** The address of the admin listener, or null when there is none of its own. */
async function listenAdmin(
  server: ComposedServer,
  { host, adminHost, adminPort }: Settings,
): Promise<string | null> {
  if (server.adminApp === null || adminPort === null) return null;
  return listen(
    server,
    server.adminApp,
    adminHost ?? host,
    adminPort,
    "ATPATCH_ADMIN_HOST and ATPATCH_ADMIN_PORT",
  );
}

/** Where gRPC is served, in words. A port that nobody asked for may be taken: then it is served without gRPC. */
async function listenGrpc(server: ComposedServer, { host, grpcPort }: Settings): Promise<string> {
  if (grpcPort === null) return "off";
  const { port, required } = grpcPort;
  try {
    return `${host}:${await server.grpc.listen(host, port)}`;
  } catch (error) {
    const what = `ATPATCH_HOST and ATPATCH_GRPC_PORT: cannot listen on ${host}:${port}: ${messageOf(error)}`;
    if (!required) {
      server.logger.warn(`gRPC is off: ${what}`);
      return `off, port ${port} is taken (--grpc-port chooses another)`;
    }
    await drain(server, 0);
    throw new AtPatchError("ATPATCH_BAD_SETTINGS", what, { cause: error });
  }
}

/** What a person wants to know at the start. */
export function summary(
  { services, generatedToken }: Pick<ComposedServer, "services" | "generatedToken">,
  settings: Pick<Settings, "models">,
  { url, admin, grpc }: { readonly url: string; readonly admin: string; readonly grpc: string },
): string {
  const lines = [`AtPatch serves ${settings.models} at ${url}`, ""];
  for (const { name, task, engine, registry, compute } of services.models.all()) {
    const { active, policy } = registry.snapshot();
    const detector = active === null ? "no detector" : `detector ${active.slice(0, 19)}…`;
    const sites = engine.description.sites.length;
    const isDefault = name === services.models.fallback.name ? ", default" : "";
    lines.push(
      `  ${name}  ${task.kind}, ${sites} attention sites, ${detector}, policy ${policy.mode}, ${compute.workers} × ${compute.threads} threads${isDefault}`,
    );
  }
  lines.push(
    "",
    `  Predict      POST ${url}/predict`,
    `  API page     ${url}/docs`,
    `  Console      ${admin}/console`,
    `  Metrics      ${url}/metrics`,
    `  gRPC         ${grpc}`,
  );
  if (generatedToken !== null)
    lines.push(`  Admin token  ${generatedToken}  (made for this run; set ATPATCH_ADMIN_TOKEN to choose)`);
  return `${lines.join("\n")}\n`;
}
