/** The composition root: this file and compose-model.ts are the only ones that name concrete implementations. */
import { basename } from "node:path";
import { pino, type Logger } from "pino";
import { loadServedModel } from "./compose-model.ts";
import { repairProcesses } from "./compose-repair.ts";
import { readTokens, watchTokens } from "./compose-tokens.ts";
import { ShadowScorer } from "./detector/shadow-scorer.ts";
import { scoreModel } from "./hotfix/score-model.ts";
import { createGrpcServer, type GrpcServer } from "./grpc/server.ts";
import { lockState } from "./detector/state-lock.ts";
import { buildApp } from "./http/app.ts";
import type { App, Services } from "./http/services.ts";
import { createMetrics, type DetectorRole, type Metrics } from "./metrics/metrics.ts";
import { AdminService } from "./service/admin.ts";
import { publishChanges, recallChanges } from "./service/change-events.ts";
import { EventBus } from "./service/events.ts";
import { FailedTokens } from "./service/failed-tokens.ts";
import { FeedbackService } from "./service/feedback.ts";
import { Health } from "./service/health.ts";
import { InferService } from "./service/infer.ts";
import { ModelTable, type ServedModel } from "./service/models.ts";
import { PredictService } from "./service/predict.ts";
import type { RepairRunner } from "./service/repair-job.ts";
import { RepairService } from "./service/repairs.ts";
import { RepositoryService } from "./service/repository.ts";
import { PatchedRunner } from "./service/run.ts";
import { publishTriggerRates } from "./service/trigger-rate.ts";
import { TokenTable } from "./service/tokens.ts";
import type { Tracing } from "./service/trace.ts";
import type { Settings } from "./settings.ts";
import { AtPatchError, messageOf } from "./shared/errors.ts";
import { frugalDecoder } from "./tasks/decode-image.ts";
import { listModelFolders, readModelFolder } from "./tasks/model-folder.ts";
import { wantedTraces } from "./tracing/wanted.ts";
import { packageVersion } from "./version.ts";

export interface ServiceParts {
  readonly models: readonly ServedModel[];
  readonly defaultModel: string | null;
  readonly tokens: TokenTable;
  /** See `CallRules.openOverride`. */
  readonly openOverride: boolean;
  readonly metrics: Metrics;
  readonly events: EventBus;
  readonly repairs: RepairRunner;
  readonly tracing?: Tracing | null;
}

/** @throws AtPatchError ATPATCH_BAD_SETTINGS when the default model is not among the models */
export function createServices(parts: ServiceParts): Services {
  const { metrics, events, tokens, openOverride } = parts;
  const models = new ModelTable(parts.models, parts.defaultModel);
  const runner = new PatchedRunner({ openOverride }, metrics.service);
  const admin = new AdminService(models, metrics.service);
  const feedback = new FeedbackService(models, events);
  publishChanges(events, parts.models);
  publishTriggerRates(events, parts.models);
  return {
    models,
    predict: new PredictService(models, runner, metrics.service),
    infer: new InferService(models, runner, metrics.service),
    admin,
    repository: new RepositoryService(models, admin),
    feedback,
    repairs: new RepairService({ models, admin, feedback, events }, parts.repairs),
    events,
    health: new Health(models),
    tokens,
    metrics,
    tracing: parts.tracing ?? null,
  };
}

/** The detectors in use, for `atpatch_detector_info`. */
export function detectorRoles(models: readonly ServedModel[]): DetectorRole[] {
  return models.flatMap(({ name, registry }) => {
    const { active, policy } = registry.snapshot();
    const roles = { active, shadow: policy.shadow, canary: policy.canary?.detector ?? null };
    return Object.entries(roles).flatMap(([role, detector]) =>
      detector === null ? [] : [{ model: name, detector, role: role as DetectorRole["role"] }],
    );
  });
}

export interface ComposedServer {
  readonly app: App;
  /** What the admin listener serves; null when the app does that as well. */
  readonly adminApp: App | null;
  readonly grpc: GrpcServer;
  readonly services: Services;
  readonly logger: Logger;
  /** The admin token made for this run, or null when the operator configured one. */
  readonly generatedToken: string | null;
  /** Stops engines and stores, once both front ends are closed. */
  close(): Promise<void>;
}

/**
 * Everything a server needs, loaded and ready to listen.
 * @throws AtPatchError ATPATCH_BAD_SETTINGS, also when another process has the state folder; ATPATCH_BAD_MODEL when no
 *   model could be loaded
 */
export async function composeServer(settings: Settings): Promise<ComposedServer> {
  frugalDecoder();
  const logger = createLogger(settings);
  const { entries, generated } = await readTokens(settings);
  const tokens = new TokenTable(entries, new FailedTokens(settings.failedTokens));
  const tracing = await openTracing(process.env, (message) => logger.warn(message));
  const lock = await lockState(settings.state);
  const models: ServedModel[] = [];
  const folders = new Map<string, string>();
  let repairs: RepairService | null = null;
  let health: Health | null = null;
  const metrics = createMetrics({
    roles: () => detectorRoles(models),
    ready: () =>
      models.map(({ name, engine }) => ({ model: name, ready: engine.ready && health?.phase === "serving" })),
  });
  const events = new EventBus(1024, (message) => logger.warn(message));
  const scorer = new ShadowScorer(scoreModel(), (message) => logger.warn(message));
  const forgetTokens = watchTokens(settings, tokens, {
    done: (result, why) => {
      metrics.tokensReloaded(result);
      if (why === undefined) logger.info("the tokens file was read again");
      else logger.error({ why }, "the tokens file was not taken over; the tokens known before stay");
    },
  });
  const close = async (): Promise<void> => {
    forgetTokens();
    events.close();
    await repairs?.close();
    await Promise.all(models.map((model) => model.close()));
    await scorer.close();
    await tracing?.close().catch((error: unknown) => logger.warn(`traces: ${messageOf(error)}`));
    await lock.release();
  };
  try {
    let preferred: string | null = null;
    const load = async (path: string): Promise<ServedModel | null> => {
      const name = basename(path);
      const warn = (message: string): void => logger.warn({ model: name }, message);
      try {
        const folder = await readModelFolder(path);
        const model = await loadServedModel(folder, settings, { metrics, events, scorer, warn });
        folders.set(model.name, path);
        if (folder.settings.default === true) preferred = model.name;
        return model;
      } catch (error) {
        logger.error(
          { model: name, code: error instanceof AtPatchError ? error.code : undefined },
          messageOf(error),
        );
        return null;
      }
    };
    for (const model of await Promise.all((await modelPaths(settings.models)).map(load))) {
      if (model !== null) models.push(model);
    }
    if (models.length === 0) {
      throw new AtPatchError(
        "ATPATCH_BAD_MODEL",
        `no model in "${settings.models}" could be loaded: see above`,
      );
    }
    await recallChanges(events, models);
    const services = createServices({
      models,
      events,
      defaultModel: settings.defaultModel ?? preferred,
      tokens,
      openOverride: generated !== null,
      metrics,
      tracing,
      repairs: repairProcesses((model) => folders.get(model)!),
    });
    ({ repairs, health } = services);
    const { bodyLimit, bodyMemory } = settings;
    const options = { version: packageVersion(), bodyLimit, bodyMemory, logger };
    const separate = settings.adminPort !== null;
    const app = await buildApp(services, { ...options, admin: !separate });
    const adminApp = separate ? await buildApp(services, options) : null;
    const grpc = await createGrpcServer(services, { ...options, admin: !separate });
    return { app, adminApp, grpc, services, logger, generatedToken: generated, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The packages that make and deliver traces are loaded only when somebody wants them. */
async function openTracing(env: NodeJS.ProcessEnv, warn: (message: string) => void): Promise<Tracing | null> {
  const protocol = wantedTraces(env);
  if (protocol === null) return null;
  const { otlpTracing } = await import("./tracing/otel-tracing.ts");
  return otlpTracing(protocol, { version: packageVersion(), warn });
}

/** Logs go to the standard error stream; secrets never do. */
function createLogger({ logLevel }: Settings): Logger {
  return pino(
    {
      level: logLevel,
      redact: ["headers.authorization", "req.headers.authorization", "*.token", "token"],
    },
    pino.destination({ dest: 2, sync: false }),
  );
}

/** Paths of the model folders, or of the one that the setting itself names. */
async function modelPaths(models: string): Promise<string[]> {
  try {
    const folders = await listModelFolders(models);
    if (folders.length > 0) return folders;
    await readModelFolder(models);
    return [models];
  } catch (error) {
    throw new AtPatchError("ATPATCH_BAD_SETTINGS", `ATPATCH_MODELS "${models}": ${messageOf(error)}`, {
      cause: error,
    });
  }
}
