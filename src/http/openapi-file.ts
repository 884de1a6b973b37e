/** Writes `openapi/atpatch.json`: the description of the API as the routes themselves give it. */
import { readFile, writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { createMetrics } from "../metrics/metrics.ts";
import { AdminService } from "../service/admin.ts";
import { EventBus } from "../service/events.ts";
import { FeedbackService } from "../service/feedback.ts";
import { Health } from "../service/health.ts";
import { InferService } from "../service/infer.ts";
import { ModelTable } from "../service/models.ts";
import { PredictService } from "../service/predict.ts";
import { RepairService } from "../service/repairs.ts";
import { RepositoryService } from "../service/repository.ts";
import { PatchedRunner } from "../service/run.ts";
import { TokenTable } from "../service/tokens.ts";
import { packageVersion } from "../version.ts";
import { buildApp } from "./app.ts";

/** Where the committed description lies. */
export const openApiFile = new URL("../../openapi/atpatch.json", import.meta.url);

/** The description of an app that serves nothing, as the text of the file. */
export async function describeApi(): Promise<string> {
  const models = new ModelTable([]);
  const metrics = createMetrics({ roles: () => [], process: false });
  const runner = new PatchedRunner({ openOverride: true }, metrics.service);
  const admin = new AdminService(models, metrics.service);
  const events = new EventBus();
  const feedback = new FeedbackService(models, events);
  const app = await buildApp(
    {
      models,
      metrics,
      tracing: null,
      predict: new PredictService(models, runner, metrics.service),
      infer: new InferService(models, runner, metrics.service),
      admin,
      repository: new RepositoryService(models, admin),
      feedback,
      repairs: new RepairService({ models, admin, feedback, events }, { start: nothingToRepair }),
      events,
      health: new Health(models),
      tokens: new TokenTable([]),
    },
    { version: packageVersion(), bodyLimit: 1024 },
  );
  try {
    await app.ready();
    return `${JSON.stringify(app.swagger(), null, 2)}\n`;
  } finally {
    await app.close();
  }
}

function nothingToRepair(): never {
  throw new Error("no model is served here");
}

/** The committed description. */
export function committedApi(): Promise<string> {
  return readFile(openApiFile, "utf8");
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  await writeFile(openApiFile, await describeApi());
}
