/** The services as their descriptions in `openapi` declare them. */
import { fileURLToPath } from "node:url";
import type { GrpcObject, ServiceClientConstructor, ServiceDefinition } from "@grpc/grpc-js";
import { loadPackageDefinition } from "@grpc/grpc-js";
import { load } from "@grpc/proto-loader";
import { AtPatchError } from "../shared/errors.ts";
import { checkOverhead, type Payloads } from "./overhead.ts";

const folder = fileURLToPath(new URL("../../openapi", import.meta.url));

/** What the protocol's service is called on the wire. */
export const inferenceService = "inference.GRPCInferenceService";

export interface Definitions {
  /** The protocol's own calls, as clients declare them. */
  readonly core: ServiceDefinition;
  /** Those and the calls of the extensions under one name, as the server reads them. */
  readonly inference: ServiceDefinition;
  readonly health: ServiceDefinition;
}

/** Reads the descriptions. 64-bit integers stay objects of two halves, which loses nothing and makes no text. */
export async function loadDefinitions(): Promise<Definitions> {
  const definition = await load(["grpc/extensions.proto", "grpc/health.proto"], {
    includeDirs: [folder],
    keepCase: true,
    enums: String,
    defaults: true,
    oneofs: true,
  });
  const packages = loadPackageDefinition(definition);
  const core = serviceIn(packages, "inference", "GRPCInferenceService");
  const extensions = serviceIn(packages, "inference", "Extensions");
  const own = Object.entries(extensions).map(([name, method]) => [
    name,
    { ...method, path: method.path.replace(".Extensions/", ".GRPCInferenceService/") },
  ]);
  const inference = { ...core, ...(Object.fromEntries(own) as ServiceDefinition) };
  return {
    core,
    inference: Object.fromEntries(
      Object.entries(inference).map(([name, method]) => [name, checked(method, payloads[name] ?? {})]),
    ),
    health: serviceIn(packages, "grpc", "health", "v1", "Health"),
  };
}

/** Where the requests of a call hold tensors or files. */
const payloads: Readonly<Record<string, Payloads>> = {
  ModelInfer: { 5: { 5: true }, 7: true },
  ModelStreamInfer: { 5: { 5: true }, 7: true },
  RepositoryModelLoad: { 3: { 2: { 3: true, 4: true } } },
};

/** A request that could not be read; its handler throws the fault. */
export interface UnreadRequest {
  readonly fault?: AtPatchError;
}

type Method = ServiceDefinition[string];

/** A method that looks at requests before they are decoded. An error here would reach nobody but the library. */
function checked(method: Method, places: Payloads): Method {
  return {
    ...method,
    requestDeserialize: (message: Buffer): object => {
      try {
        checkOverhead(message, places);
        return method.requestDeserialize(message) as object;
      } catch (error) {
        const malformed = new AtPatchError("ATPATCH_BAD_INPUT", "the message is malformed", { cause: error });
        return { fault: error instanceof AtPatchError ? error : malformed } satisfies UnreadRequest;
      }
    },
  };
}

function serviceIn(packages: GrpcObject, ...path: readonly string[]): ServiceDefinition {
  const found = path.reduce<GrpcObject[string]>((at, name) => (at as GrpcObject)[name]!, packages);
  return (found as ServiceClientConstructor).service;
}
