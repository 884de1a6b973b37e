/** A whole server in this process on the tiny model: real runtime, real registry, no socket unless a test listens. */
import { Writable } from "node:stream";
import { pino } from "pino";
import type { ServedEngineSettings } from "../compose-engine.ts";
import { openModel } from "../compose-model.ts";
import { createServices, detectorRoles } from "../compose.ts";
import { MemoryStore } from "../detector/memory-store.ts";
import { ShadowScorer } from "../detector/shadow-scorer.ts";
import { scoreModel } from "../hotfix/score-model.ts";
import { createGrpcServer, type GrpcServer } from "../grpc/server.ts";
import { buildApp, type ClientTimes } from "../http/app.ts";
import type { App, Services } from "../http/services.ts";
import { createMetrics } from "../metrics/metrics.ts";
import { EventBus } from "../service/events.ts";
import { FailedTokens } from "../service/failed-tokens.ts";
import type { GoldenSample } from "../service/golden-test.ts";
import type { ServedModel } from "../service/models.ts";
import type { RepairRunner } from "../service/repair-job.ts";
import { noRecording, type RecorderSettings } from "../service/recorder.ts";
import { TokenTable, type TokenEntry } from "../service/tokens.ts";
import type { Tracing } from "../service/trace.ts";
import { createClassScores } from "../tasks/class-scores.ts";
import { createTensorTask } from "../tasks/tensor.ts";
import { tinyLabels, tinyModel, type TinyModelOptions } from "./tiny-model.ts";

export interface TinyServerOptions extends TinyModelOptions {
  readonly name?: string;
  readonly tokens?: readonly TokenEntry[];
  readonly openOverride?: boolean;
  readonly tracing?: Tracing;
  /** Wrong tokens of one address a minute; any number when absent. */
  readonly failedTokens?: number;
  readonly shipped?: (model: Uint8Array) => readonly Uint8Array[];
  /** Clean samples that detectors are tried out on. */
  readonly golden?: () => Promise<readonly GoldenSample[]>;
  readonly settings?: Partial<ServedEngineSettings & { maxInstances: number }>;
  readonly bodyLimit?: number;
  readonly bodyMemory?: number;
  readonly times?: ClientTimes;
  readonly recording?: Partial<RecorderSettings>;
  /** Folder of the built console. */
  readonly console?: string;
  /** Does repairs; without one they fail. */
  readonly repairs?: RepairRunner;
}

export interface TinyServer {
  readonly app: App;
  /** Listens nowhere until a test says so. */
  readonly grpc: GrpcServer;
  readonly services: Services;
  readonly model: ServedModel;
  /** Every line that was logged. */
  readonly log: string[];
  close(): Promise<void>;
}

export async function tinyServer(options: TinyServerOptions = {}): Promise<TinyServer> {
  const models: ServedModel[] = [];
  const metrics = createMetrics({
    roles: () => detectorRoles(models),
    ready: () => models.map((served) => ({ model: served.name, ready: served.engine.ready })),
    process: false,
  });
  const log: string[] = [];
  const warn = (message: string): void => void log.push(message);
  const events = new EventBus();
  const scorer = new ShadowScorer(scoreModel(), warn);
  const bytes = tinyModel(options);
  const model = await openModel(
    {
      name: options.name ?? "tiny",
      version: "1",
      file: () => Promise.resolve({ bytes, name: "model.onnx" }),
      folder: ".",
      task: ({ inputs, outputs }) =>
        Promise.resolve(
          createTensorTask({
            inputs,
            scores: createClassScores({ config: null, settings: {}, labels: tinyLabels }, outputs),
            layout: { kind: "sequence", firstKey: 1 },
          }),
        ),
      store: () => Promise.resolve(new MemoryStore()),
      shipped: options.shipped?.(bytes) ?? [],
      ...(options.golden && { golden: options.golden }),
      recording: { ...noRecording, samples: 100, bytes: 2 ** 20, ageMs: 60_000, ...options.recording },
    },
    {
      workers: 1,
      threads: 1,
      queue: 16,
      deadlineMs: 20_000,
      recheck: true,
      maxInstances: 8,
      ...options.settings,
    },
    { metrics, events, scorer, warn },
  );
  models.push(model);
  const services = createServices({
    models,
    defaultModel: null,
    tokens: new TokenTable(options.tokens ?? [], new FailedTokens(options.failedTokens ?? 1_000_000)),
    openOverride: options.openOverride ?? true,
    metrics,
    events,
    tracing: options.tracing ?? null,
    repairs: options.repairs ?? {
      start: () => {
        throw new Error("no repairs here");
      },
    },
  });
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      log.push(chunk.toString());
      done();
    },
  });
  const frontEnd = {
    version: "0.0.0",
    bodyLimit: options.bodyLimit ?? 64 * 1024,
    ...(options.bodyMemory !== undefined && { bodyMemory: options.bodyMemory }),
    ...(options.console !== undefined && { console: options.console }),
    ...(options.times && { times: options.times }),
    logger: pino({ level: "debug" }, sink),
  };
  const app = await buildApp(services, frontEnd);
  const grpc = await createGrpcServer(services, frontEnd);
  return {
    app,
    grpc,
    services,
    model,
    log,
    close: async () => {
      await Promise.all([app.close(), grpc.close()]);
      services.events.close();
      await services.repairs.close();
      await model.close();
      await scorer.close();
    },
  };
}
