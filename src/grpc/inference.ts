/** The calls of `inference.GRPCInferenceService`: the protocol's own and those of its extensions. */
import { extensions, modelConfig, modelMetadata, serverName } from "../service/metadata.ts";
import { outcomeHeaders } from "../service/outcome.ts";
import type { LoadParameters } from "../service/repository.ts";
import { AtPatchError } from "../shared/errors.ts";
import type { CallContext } from "./context.ts";
import { encodeAnswer } from "./infer-answer.ts";
import { decodeRequest } from "./infer-request.ts";
import type { InferRequestMessage, InferResponseMessage, ParameterMessages } from "./messages.ts";
import type { GrpcServices } from "./services.ts";

interface NamedModel {
  readonly name: string;
  readonly version: string;
}

interface RepositoryMessage {
  readonly model_name: string;
  readonly parameters: ParameterMessages;
}

/** Metadata to send before the answer. */
export type SendHeaders = (headers: Readonly<Record<string, string>>) => void;

/** A call with one request and one answer. */
export type UnaryHandler = (request: never, context: CallContext, send: SendHeaders) => Promise<object>;

/** An empty text stands for none, as protobuf has it. */
const given = (text: string): string | undefined => (text === "" ? undefined : text);

export function inferenceHandlers(services: GrpcServices, version: string) {
  const { models, health, repository } = services;
  const find = ({ name, version: of }: NamedModel) => models.get(name, given(of));
  return {
    ServerLive: async () => ({ live: true }),
    ServerReady: async () => ({ ready: health.ready().ready }),
    ModelReady: async (request: NamedModel) => ({ ready: find(request).engine.ready }),
    ServerMetadata: async () => ({ name: serverName, version, extensions }),
    ModelMetadata: async (request: NamedModel) => modelMetadata(find(request)),
    ModelInfer: (request: InferRequestMessage, context: CallContext, send: SendHeaders) =>
      infer(services, request, context, send),
    ModelConfig: async (request: NamedModel) => ({ config: modelConfig(find(request)) }),
    ModelStatistics: async (request: NamedModel) => ({
      model_stats: (request.name === "" ? models.all() : [find(request)]).map((model) => ({
        name: model.name,
        version: model.version,
        ...model.statistics.snapshot(),
      })),
    }),
    RepositoryIndex: async (request: { ready: boolean }, context: CallContext) => {
      context.authorize("read");
      return { models: await repository.index(request.ready) };
    },
    RepositoryModelLoad: async (request: RepositoryMessage, context: CallContext) => {
      context.authorize("detectors:write");
      const change = { actor: actorOf(context), reason: "repository load" };
      await repository.load(request.model_name, loadParameters(request.parameters), change);
      return {};
    },
    RepositoryModelUnload: async (request: RepositoryMessage, context: CallContext) => {
      context.authorize("detectors:write");
      await repository.unload(request.model_name, { actor: actorOf(context), reason: "repository unload" });
      return {};
    },
  } satisfies Readonly<Record<string, UnaryHandler>>;
}

/**
 * One inference; shared by the unary call and the stream. Its tensors are not even looked at while the model's queue is full:
 * what is refused should cost little.
 * @throws AtPatchError ATPATCH_QUEUE_FULL, and what the service throws
 */
export async function infer(
  services: GrpcServices,
  request: InferRequestMessage,
  { call }: CallContext,
  send: SendHeaders,
): Promise<InferResponseMessage> {
  const version = given(request.model_version);
  services.models.get(request.model_name, version).engine.requireRoom();
  return services.infer.infer(
    request.model_name,
    version,
    {
      decode: () => decodeRequest(request),
      encode: (answer) => {
        const triggered = answer.triggered.filter(Boolean).length;
        send(outcomeHeaders({ ...answer, triggered, samples: answer.triggered.length }, call.startedAt));
        return encodeAnswer(answer, request);
      },
    },
    call,
  );
}

function actorOf({ call }: CallContext): string {
  return call.principal?.name ?? "unknown";
}

function loadParameters(messages: ParameterMessages): LoadParameters {
  return Object.fromEntries(
    Object.entries(messages).map(([name, { string_param: text, bytes_param: bytes }]) => {
      const value = bytes ?? text;
      if (value === undefined) {
        const what = `parameters.${name.slice(0, 80)}: expected a text or bytes`;
        throw new AtPatchError("ATPATCH_BAD_INPUT", what);
      }
      return [name, value];
    }),
  );
}
