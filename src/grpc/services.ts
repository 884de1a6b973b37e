/** What the gRPC front end stands on. */
import type { Metrics } from "../metrics/metrics.ts";
import type { Health } from "../service/health.ts";
import type { InferService } from "../service/infer.ts";
import type { ModelTable } from "../service/models.ts";
import type { RepositoryService } from "../service/repository.ts";
import type { TokenTable } from "../service/tokens.ts";
import type { Tracing } from "../service/trace.ts";

export interface GrpcServices {
  readonly models: ModelTable;
  readonly infer: InferService;
  readonly repository: RepositoryService;
  readonly health: Health;
  readonly tokens: TokenTable;
  readonly metrics: Metrics;
  /** Null when no traces are wanted. */
  readonly tracing: Tracing | null;
}

export interface GrpcLogger {
  debug(line: object, message: string): void;
  info(line: object, message: string): void;
  error(line: object, message: string): void;
}

export interface GrpcOptions {
  /** Version of the server, as metadata tells it. */
  readonly version: string;
  /** Largest message in bytes. */
  readonly bodyLimit: number;
  readonly logger: GrpcLogger;
  /** Whether detectors can be loaded and unloaded here; default true. */
  readonly admin?: boolean;
}
