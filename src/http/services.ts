/** What the HTTP front end stands on, and what it adds to every request. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from "fastify";
import type { Metrics } from "../metrics/metrics.ts";
import type { AdminService } from "../service/admin.ts";
import type { EventBus } from "../service/events.ts";
import type { FeedbackService } from "../service/feedback.ts";
import type { Health } from "../service/health.ts";
import type { InferService } from "../service/infer.ts";
import type { ModelTable } from "../service/models.ts";
import type { PredictService } from "../service/predict.ts";
import type { RepairService } from "../service/repairs.ts";
import type { RepositoryService } from "../service/repository.ts";
import type { Principal, Scope, TokenTable } from "../service/tokens.ts";
import type { ServerTrace, Tracing } from "../service/trace.ts";

export interface Services {
  readonly models: ModelTable;
  readonly predict: PredictService;
  readonly infer: InferService;
  readonly admin: AdminService;
  readonly repository: RepositoryService;
  readonly feedback: FeedbackService;
  readonly repairs: RepairService;
  readonly events: EventBus;
  readonly health: Health;
  readonly tokens: TokenTable;
  readonly metrics: Metrics;
  /** Where traces go; null when nobody asked for them. */
  readonly tracing: Tracing | null;
}

/** A Fastify instance whose handlers are typed by their schemas. */
export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

declare module "fastify" {
  interface FastifyRequest {
    /** When the request arrived, on the `performance.now()` clock. */
    startedAt: number;
    /** Whose token came with the request; null without one, or when nobody knows it. */
    principal: Principal | null;
    /** The trace of the request; null when none is kept. */
    trace: ServerTrace | null;
  }
  interface FastifyContextConfig {
    /** Scope that the route asks for. */
    scope?: Scope;
    /** Answered also while the server is closing: health and metrics. */
    whileClosing?: boolean;
  }
}
