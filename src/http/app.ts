/** The HTTP front end as a value: it never listens, and every option of the framework is set here. */
import fastify, { LogController, type FastifyBaseLogger, type FastifyError } from "fastify";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import { installPrincipal } from "./auth.ts";
import { installBodyMemory } from "./body-memory.ts";
import { installJsonBody } from "./body.ts";
import { answerClientError } from "./client-error.ts";
import { installCompression } from "./compress.ts";
import { consoleFolder } from "./console-files.ts";
import { installDrain } from "./drain.ts";
import { installErrors, sendError } from "./errors.ts";
import { installObservation } from "./observe.ts";
import { installOpenApi } from "./openapi.ts";
import { installRequestId, requestId } from "./request-id.ts";
import { adminRoutes } from "./routes/admin.ts";
import { consoleRoutes } from "./routes/console.ts";
import { inferRoutes } from "./routes/infer.ts";
import { metricsRoutes } from "./routes/metrics.ts";
import { oipRoutes } from "./routes/oip.ts";
import { predictRoutes } from "./routes/predict.ts";
import { repositoryRoutes } from "./routes/repository.ts";
import type { App, Services } from "./services.ts";
import { installTracing } from "./trace.ts";
import { installValidation } from "./validation.ts";

export interface AppOptions {
  /** Version of the server, as metadata and API description tell it. */
  readonly version: string;
  /** Largest request body in bytes. */
  readonly bodyLimit: number;
  /** Most bytes of request bodies that are in memory at once; no limit when absent. */
  readonly bodyMemory?: number;
  readonly logger?: FastifyBaseLogger;
  /** Whether detectors and policy can be changed here; default true. */
  readonly admin?: boolean;
  /** How slow clients may be. */
  readonly times?: ClientTimes;
  /** Folder of the built console; where `npm run build` leaves it when absent. */
  readonly console?: string;
}

/** Longest time a client may take, in milliseconds. */
export interface ClientTimes {
  /** To send the headers of a request. */
  readonly headers: number;
  /** To send a whole request. */
  readonly request: number;
}

const clientTimes: ClientTimes = { headers: 20_000, request: 120_000 };

export async function buildApp(services: Services, options: AppOptions): Promise<App> {
  const times = options.times ?? clientTimes;
  const app: App = fastify({
    ...(options.logger && { loggerInstance: options.logger }),
    // installObservation writes the lines instead.
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: "request" }),
    bodyLimit: options.bodyLimit,
    requestTimeout: times.request,
    // Checked often enough that slow clients do not hold their connections for much longer.
    http: { headersTimeout: times.headers, connectionsCheckingInterval: Math.ceil(times.headers / 4) },
    // Longer than the idle time of common load balancers, so that they hang up first.
    keepAliveTimeout: 72_000,
    forceCloseConnections: "idle",
    // Answered by installDrain, with our own body.
    return503OnClosing: false,
    genReqId: requestId,
    requestIdHeader: false,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 256 },
    clientErrorHandler: answerClientError,
    frameworkErrors: (error: FastifyError, request, reply) => void sendError(error, request, reply),
  }).withTypeProvider<TypeBoxTypeProvider>();

  installErrors(app);
  installValidation(app);
  installJsonBody(app);
  installRequestId(app);
  installObservation(app, services.metrics);
  installTracing(app, services.tracing);
  installDrain(app, services.health);
  installPrincipal(app, services.tokens);
  await installCompression(app);
  installBodyMemory(app, options.bodyMemory ?? Infinity);
  await installOpenApi(app, options.version);

  await app.register(predictRoutes(services));
  await app.register(oipRoutes(services, options.version));
  await app.register(inferRoutes(services));
  await app.register(metricsRoutes(services));
  if (options.admin !== false) {
    await app.register(repositoryRoutes(services));
    await app.register(adminRoutes(services), { prefix: "/admin" });
    await app.register(consoleRoutes(options.console ?? consoleFolder));
  }
  app.get("/", { schema: { hide: true } }, async (_request, reply) => reply.redirect("/docs"));
  return app;
}
