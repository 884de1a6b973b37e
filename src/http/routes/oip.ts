/** Open Inference Protocol: health and metadata. */
import type { Static } from "typebox";
import { AtPatchError } from "../../shared/errors.ts";
import type { TensorInfo } from "../../shared/tensor.ts";
import type { ServedModel } from "../../service/models.ts";
import { failuresOf, modelParams } from "../schemas/common.ts";
import {
  modelMetadata,
  modelReady,
  serverLive,
  serverMetadata,
  serverReady,
  versionParams,
} from "../schemas/oip.ts";
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
          response: { 200: serverLive },
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
          response: { 200: serverReady, ...failuresOf(503) },
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
          response: { 200: serverMetadata },
        },
      },
      async () => ({ name: "atpatch", version, extensions: [] }),
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
    const paths = [
      { path: "/v2/models/:model", params: modelParams, suffix: "" },
      { path: "/v2/models/:model/versions/:version", params: versionParams, suffix: "Version" },
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
            response: { 200: modelMetadata, ...failuresOf(404) },
          },
        },
        async (request) => metadataOf(models.get(request.params.model, versionOf(request.params))),
      );
      app.get(
        `${path}/ready`,
        {
          schema: {
            tags,
            summary: "The model takes requests",
            operationId: `modelReady${suffix}`,
            params,
            response: { 200: modelReady, ...failuresOf(404, 503) },
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
export function versionOf(params: { model: string; version?: string }): string | undefined {
  return params.version;
}

function metadataOf({ name, version, engine }: ServedModel): Static<typeof modelMetadata> {
  const { inputs, outputs, sites, fingerprint } = engine.description;
  return {
    name,
    versions: [version],
    platform: "onnx_onnxv1",
    inputs: inputs.map(tensorInfo),
    outputs: outputs.map(tensorInfo),
    properties: { atpatch_sites: String(sites.length), atpatch_fingerprint: fingerprint },
  };
}

function tensorInfo({ name, datatype, shape }: TensorInfo): {
  name: string;
  datatype: string;
  shape: number[];
} {
  return { name, datatype, shape: shape.map((dim) => dim ?? -1) };
}
