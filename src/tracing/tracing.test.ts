/** Traces as a collector gets them: a server under requests, and a receiver of OTLP over HTTP. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { markDetector, tinySample } from "../test/tiny-model.ts";
import { rawRequest, tinyGrpc } from "../test/tiny-grpc.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";
import type { Tracing } from "../service/trace.ts";
import { otlpTracing } from "./otel-tracing.ts";

interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: { readonly key: string; readonly value: object }[];
  readonly status: { readonly code?: number };
}
interface Payload {
  readonly resourceSpans: {
    readonly resource: ReceivedSpan;
    readonly scopeSpans: { readonly spans: ReceivedSpan[] }[];
  }[];
}

const traceId = "0af7651916cd43dd8448eb211c80319c";
const callerSpan = "b7ad6b7169203331";
const variables = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_RESOURCE_ATTRIBUTES"];

const received: { path: string | undefined; payload: Payload }[] = [];
let receiver: Server;
let tracing: Tracing;
let server: TinyServer;

const spans = (): ReceivedSpan[] =>
  received.flatMap(({ payload }) =>
    payload.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)),
  );

beforeAll(async () => {
  receiver = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      received.push({ path: request.url, payload: JSON.parse(Buffer.concat(chunks).toString()) as Payload });
      response.setHeader("content-type", "application/json").end("{}");
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  process.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
  process.env["OTEL_RESOURCE_ATTRIBUTES"] = "deployment.environment.name=trial";
  tracing = otlpTracing("http/json", { version: "1.2.3", warn: () => {} });
  server = await tinyServer({ tracing });
  const { registry, engine } = server.model;
  const { id } = await registry.upload(markDetector(engine.description), { actor: "test" });
  await registry.activate(id, { actor: "test" });
}, 60_000);

afterAll(async () => {
  await server?.close();
  for (const name of variables) delete process.env[name];
  await new Promise((resolve) => receiver.close(resolve));
});

describe("a traced call over gRPC", () => {
  it("is one server span below the caller's, with its parts below it", async () => {
    const calls = otlpTracing("http/json", { version: "1.2.3", warn: () => {} });
    const grpc = await tinyGrpc({ tracing: calls });
    const own = "1af7651916cd43dd8448eb211c80319c";
    const headers = { traceparent: `00-${own}-${callerSpan}-01` };
    const answer = await grpc.client.call("ModelInfer", rawRequest(), { headers });
    expect(answer.code).toBe("OK");
    const refused = await grpc.client.call("ModelInfer", { model_name: "secret-name" });
    expect(refused.headers["traceparent"]).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    await grpc.client.call("ServerLive", {});
    await grpc.close();
    await calls.close();

    const name = "inference.GRPCInferenceService/ModelInfer";
    const mine = spans().filter((span) => span.traceId === own);
    const root = mine.find((span) => span.name === name)!;
    expect(root).toMatchObject({ parentSpanId: callerSpan, kind: 2 });
    expect(answer.headers["traceparent"]).toBe(`00-${own}-${root.spanId}-01`);
    expect(root.attributes).toContainEqual({ key: "rpc.grpc.status_code", value: { intValue: 0 } });
    const parts = mine.filter((span) => span !== root);
    expect(parts.map((part) => part.name).toSorted()).toEqual(["decode", "encode", "infer", "queue"]);
    expect(parts.every(({ parentSpanId }) => parentSpanId === root.spanId)).toBe(true);
    const others = spans().filter((span) => span.traceId !== own);
    expect(others.map((span) => span.name)).toEqual([name]);
    expect(JSON.stringify(received)).not.toContain("secret-name");
    received.length = 0;
  });
});

describe("a traced request", () => {
  it("is one server span below the caller's, with its parts below it", async () => {
    const origin = await server.app.listen({ host: "127.0.0.1", port: 0 });
    const post = (path: string, body: object, headers: Record<string, string> = {}): Promise<Response> =>
      fetch(origin + path, {
        method: "POST",
        headers: { "content-type": "application/json", connection: "close", ...headers },
        body: JSON.stringify(body),
      });
    const traceparent = `00-${traceId}-${callerSpan}-01`;
    const answer = await post("/predict", { instances: [tinySample({ 3: 8 })] }, { traceparent });
    expect(answer.status).toBe(200);
    await answer.text();
    const refused = await post("/v1/models/secret-name:predict", { instances: [] });
    await refused.text();
    await (await fetch(`${origin}/v2/health/live`)).text();
    await tracing.close();

    expect(received[0]?.path).toBe("/v1/traces");
    const mine = spans().filter((span) => span.traceId === traceId);
    const root = mine.find(({ name }) => name === "POST /predict")!;
    expect(root).toMatchObject({ parentSpanId: callerSpan, kind: 2 });
    expect(answer.headers.get("traceparent")).toBe(`00-${traceId}-${root.spanId}-01`);
    expect(root.attributes).toContainEqual({
      key: "http.response.status_code",
      value: { intValue: 200 },
    });
    const parts = mine.filter((span) => span !== root);
    expect(parts.map(({ name }) => name).toSorted()).toEqual(["decode", "encode", "infer", "queue"]);
    for (const part of parts) {
      expect(part.parentSpanId).toBe(root.spanId);
      // The clock of the spans has microseconds.
      const slack = 2_000n;
      expect(BigInt(part.startTimeUnixNano) + slack >= BigInt(root.startTimeUnixNano)).toBe(true);
      expect(BigInt(part.endTimeUnixNano) <= BigInt(root.endTimeUnixNano) + slack).toBe(true);
      expect(BigInt(part.startTimeUnixNano) <= BigInt(part.endTimeUnixNano)).toBe(true);
    }
    const others = spans().filter((span) => span.traceId !== traceId);
    expect(others.map(({ name }) => name)).toEqual(["POST /v1/models/{model}:predict"]);
    expect(JSON.stringify(received)).not.toContain("secret-name");
    expect(received[0]!.payload.resourceSpans[0]!.resource.attributes).toEqual(
      expect.arrayContaining([
        { key: "service.name", value: { stringValue: "atpatch" } },
        { key: "deployment.environment.name", value: { stringValue: "trial" } },
      ]),
    );
  });
});
