import { describe, expect, it } from "vitest";
import { wantedTraces } from "./wanted.ts";

const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318" };

describe("wantedTraces", () => {
  it.each([
    [{}, null],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "" }, null],
    [endpoint, "http/protobuf"],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://127.0.0.1:1/v1/traces" }, "http/protobuf"],
    [{ OTEL_TRACES_EXPORTER: "otlp" }, "http/protobuf"],
    [{ ...endpoint, OTEL_TRACES_EXPORTER: "none" }, null],
    [{ ...endpoint, OTEL_SDK_DISABLED: "true" }, null],
    [{ ...endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" }, "http/json"],
    [
      {
        ...endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
        OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "http/protobuf",
      },
      "http/protobuf",
    ],
  ])("%j: %s", (env, wanted) => {
    expect(wantedTraces(env)).toBe(wanted);
  });

  it("refuses what is not spoken here, by the name of the variable", () => {
    const grpc = { ...endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" };
    expect(() => wantedTraces(grpc)).toThrow(/^OTEL_EXPORTER_OTLP_PROTOCOL: expected http\/protobuf or/);
    expect(() => wantedTraces({ OTEL_TRACES_EXPORTER: "zipkin" })).toThrow(/^OTEL_TRACES_EXPORTER: /);
  });
});
