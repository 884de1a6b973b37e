/** The services as their descriptions in `openapi` declare them. */
import { fileURLToPath } from "node:url";
import type { GrpcObject, ServiceClientConstructor, ServiceDefinition } from "@grpc/grpc-js";
import { loadPackageDefinition } from "@grpc/grpc-js";
import { load } from "@grpc/proto-loader";

const folder = fileURLToPath(new URL("../../openapi", import.meta.url));

export interface Definitions {
  /** The protocol's own calls and those of the extensions, under one name. */
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
  const paths = Object.entries(extensions).map(([name, method]) => [
    name,
    { ...method, path: method.path.replace(".Extensions/", ".GRPCInferenceService/") },
  ]);
  return {
    inference: { ...core, ...(Object.fromEntries(paths) as ServiceDefinition) },
    health: serviceIn(packages, "grpc", "health", "v1", "Health"),
  };
}

function serviceIn(packages: GrpcObject, ...path: readonly string[]): ServiceDefinition {
  const found = path.reduce<GrpcObject[string]>((at, name) => (at as GrpcObject)[name]!, packages);
  return (found as ServiceClientConstructor).service;
}
