/** Open Inference Protocol: health, metadata, configuration and statistics. */
import { AtPatchError } from "../../shared/errors.ts";
import { extensions, modelConfig, modelMetadata, serverName } from "../../service/metadata.ts";
import type { ServedModel } from "../../service/models.ts";
import { failuresOf, modelParams } from "../schemas/common.ts";
import * as schemas from "../schemas/oip.ts";
import { modelList } from "../schemas/predict.ts";
import type { App, Services } from "../services.ts";

const tags = ["open inference protocol"];

export function oipRoutes({ health, models }: Services, version: string) {
  return async (app: App): Promise<void> => {
    app.get(
      "/v2/health/live",
      {
        config: { whileClosing: true },
        schema: {
          tags,
          summary: "The process answers",
          operationId: "serverLive",
          response: { 200: schemas.serverLive },
        },
      },
      async () => ({ live: true }),
    );
    app.get(
      "/v2/health/ready",
      {
        config: { whileClosing: true },
        schema: {
          tags,
          summary: "Every model takes requests",
          operationId: "serverReady",
          response: { 200: schemas.serverReady, ...failuresOf(503) },
        },
      },
      async () => {
        const { ready, reasons } = health.ready();
        if (!ready) throw new AtPatchError("ATPATCH_NOT_READY", `not ready: ${reasons.join("; ")}`);
        return { ready };
      },
    );
    app.get(
      "/v2",
      {
        schema: {
          tags,
          summary: "Name, version and extensions of the server",
          operationId: "serverMetadata",
          response: { 200: schemas.serverMetadata },
        },
      },
      async () => ({ name: serverName, version, extensions: [...extensions] }),
    );
    app.get(
      "/v2/models",
      {
        schema: {
          tags,
          summary: "Names of the served models",
          operationId: "oipModels",
          response: { 200: modelList },
        },
      },
      async () => ({ models: models.all().map((model) => model.name) }),
    );
    app.get(
      "/v2/models/stats",
      {
        schema: {
          tags,
          summary: "Totals of every model since the start",
          operationId: "statistics",
          response: { 200: schemas.statistics },
        },
      },
      async () => statistics(models.all()),
    );
    const paths = [
      { path: "/v2/models/:model", params: modelParams, suffix: "" },
      { path: "/v2/models/:model/versions/:version", params: schemas.versionParams, suffix: "Version" },
    ] as const;
    for (const { path, params, suffix } of paths) {
      app.get(
        path,
        {
          schema: {
            tags,
            summary: "Inputs and outputs of a model",
            operationId: `modelMetadata${suffix}`,
            params,
            response: { 200: schemas.modelMetadata, ...failuresOf(404) },
          },
        },
        async (request) => modelMetadata(models.get(request.params.model, versionOf(request.params))),
      );
      app.get(
        `${path}/config`,
        {
          schema: {
            tags,
            summary: "Inputs and outputs of a model, as load generators ask for them",
            operationId: `modelConfig${suffix}`,
            params,
            response: { 200: schemas.modelConfig, ...failuresOf(404) },
          },
        },
        async (request) => modelConfig(models.get(request.params.model, versionOf(request.params))),
      );
      app.get(
        `${path}/stats`,
        {
          schema: {
            tags,
            summary: "Totals of a model since the start",
            operationId: `modelStatistics${suffix}`,
            params,
            response: { 200: schemas.statistics, ...failuresOf(404) },
          },
        },
        async (request) => statistics([models.get(request.params.model, versionOf(request.params))]),
      );
      app.get(
        `${path}/ready`,
        {
          schema: {
            tags,
            summary: "The model takes requests",
            operationId: `modelReady${suffix}`,
            params,
            response: { 200: schemas.modelReady, ...failuresOf(404, 503) },
          },
        },
        async (request) => {
          const { name, engine } = models.get(request.params.model, versionOf(request.params));
          if (!engine.ready)
            throw new AtPatchError("ATPATCH_NOT_READY", `model "${name}" has no ready worker`);
          return { name, ready: true };
        },
      );
    }
  };
}

/** The version a path names, if it names one. */
function versionOf(params: { model: string; version?: string }): string | undefined {
  return params.version;
}

function statistics(models: readonly ServedModel[]) {
  return {
    model_stats: models.map((model) => ({
      name: model.name,
      version: model.version,
      ...model.statistics.snapshot(),
    })),
  };
}
