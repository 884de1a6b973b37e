/** Whether traces are wanted, by the environment variables that OpenTelemetry specifies for every SDK. */
import { AtPatchError } from "../shared/errors.ts";

export type TraceProtocol = "http/protobuf" | "http/json";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * How traces are to be delivered: where an endpoint is set, or the exporter is asked for by name; null when they are not
 * wanted.
 * @throws AtPatchError ATPATCH_BAD_SETTINGS for an exporter or a protocol that is not spoken here
 */
export function wantedTraces(env: Environment): TraceProtocol | null {
  const read = (name: string): string | undefined => env[name]?.trim() || undefined;
  const exporter = read("OTEL_TRACES_EXPORTER");
  if (read("OTEL_SDK_DISABLED")?.toLowerCase() === "true" || exporter === "none") return null;
  const endpoint = read("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") ?? read("OTEL_EXPORTER_OTLP_ENDPOINT");
  if (exporter === undefined && endpoint === undefined) return null;
  if (exporter !== undefined && exporter !== "otlp")
    throw unknown("OTEL_TRACES_EXPORTER", "otlp or none", exporter);
  const name = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"].find(read);
  const protocol = name === undefined ? "http/protobuf" : read(name)!;
  if (protocol !== "http/protobuf" && protocol !== "http/json")
    throw unknown(name!, "http/protobuf or http/json", protocol);
  return protocol;
}

function unknown(name: string, expected: string, given: string): AtPatchError {
  return new AtPatchError(
    "ATPATCH_BAD_SETTINGS",
    `${name}: expected ${expected}, got "${given.slice(0, 40)}"`,
  );
}
