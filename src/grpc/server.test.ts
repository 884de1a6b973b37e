/** The gRPC front end through its real interface. Inference itself: infer.conformance.test.ts. */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { scopeToken, scopeTokens } from "../test/admin-client.ts";
import type { GrpcClient } from "../test/grpc-client.ts";
import { rawRequest, tinyGrpc, type TinyGrpc } from "../test/tiny-grpc.ts";
import { markDetector, tinySample } from "../test/tiny-model.ts";
import type { TinyServer } from "../test/tiny-server.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const as = (scope: string) => ({ headers: { authorization: `Bearer ${scopeToken(scope)}` } });

describe("the gRPC server", () => {
  let open: TinyGrpc;
  let server: TinyServer;
  let client: GrpcClient;
  let detector: string;
  beforeAll(async () => {
    open = await tinyGrpc({ tokens: scopeTokens, openOverride: false });
    ({ server, client } = open);
    const { registry, engine } = server.model;
    detector = (await registry.upload(markDetector(engine.description), { actor: "test" })).id;
    await registry.activate(detector, { actor: "test" });
  });
  afterAll(() => open.close());

  it.each([
    ["ServerLive", {}, { live: true }],
    ["ServerReady", {}, { ready: true }],
    ["ModelReady", { name: "tiny" }, { ready: true }],
    ["Check", { service: "" }, { status: "SERVING" }],
    ["Check", { service: "inference.GRPCInferenceService" }, { status: "SERVING" }],
  ])("answers %s %j", async (method, message, expected) => {
    expect(await client.call(method, message)).toMatchObject({ code: "OK", answer: expected });
  });

  it("describes itself and its models as REST does", async () => {
    const { answer } = await client.call("ServerMetadata", {});
    expect(answer).toEqual((await server.app.inject("/v2")).json());
    const model = await client.call("ModelMetadata", { name: "tiny", version: "1" });
    const plain = JSON.parse(
      JSON.stringify(model.answer, (key, value: unknown) =>
        key === "shape" ? (value as object[]).map(Number) : value,
      ),
    ) as unknown;
    expect(plain).toEqual((await server.app.inject("/v2/models/tiny")).json());
    const { answer: described } = await client.call("ModelConfig", { name: "tiny" });
    expect(described).toMatchObject({
      config: { name: "tiny", max_batch_size: 8, input: [{ name: "x", data_type: "TYPE_FP32" }] },
    });
    expect((await server.app.inject("/v2/models/tiny/config")).json()).toMatchObject({
      name: "tiny",
      max_batch_size: 8,
      input: [{ name: "x", data_type: "TYPE_FP32", dims: [5, 4] }],
      output: [{ name: "logits", data_type: "TYPE_FP32", dims: [3] }],
    });
  });

  it.each([
    ["ModelReady", { name: "none" }, "NOT_FOUND", "ATPATCH_UNKNOWN_MODEL"],
    ["ModelMetadata", { name: "tiny", version: "2" }, "NOT_FOUND", "ATPATCH_UNKNOWN_MODEL"],
    ["ModelInfer", { model_name: "tiny" }, "INVALID_ARGUMENT", "ATPATCH_BAD_INPUT"],
    ["ModelInfer", rawRequest([], {}), "INVALID_ARGUMENT", "ATPATCH_BAD_INPUT"],
    ["Check", { service: "other" }, "NOT_FOUND", "ATPATCH_NOT_FOUND"],
    ["RepositoryIndex", {}, "UNAUTHENTICATED", "ATPATCH_UNAUTHENTICATED"],
    ["RepositoryModelUnload", { model_name: "tiny" }, "UNAUTHENTICATED", "ATPATCH_UNAUTHENTICATED"],
  ])("refuses %s %j", async (method, message, status, code) => {
    const answer = await client.call(method, message, { headers: { "x-request-id": "mine" } });
    expect(answer).toMatchObject({ status, code, headers: { "x-request-id": "mine" } });
  });

  it("asks for the scope before it weakens the mode", async () => {
    const off = rawRequest(undefined, { parameters: { atpatch_mode: { string_param: "off" } } });
    expect(await client.call("ModelInfer", off)).toMatchObject({ status: "UNAUTHENTICATED" });
    expect(await client.call("ModelInfer", off, as("read"))).toMatchObject({ status: "PERMISSION_DENIED" });
    const { answer } = await client.call("ModelInfer", off, as("predict:override"));
    expect(answer).toMatchObject({ parameters: { atpatch_mode: { string_param: "off" } } });
  });

  it("counts what it did, for one model and for all", async () => {
    const before = server.model.statistics.snapshot();
    await client.call("ModelInfer", rawRequest([tinySample(), tinySample()]));
    const after = server.model.statistics.snapshot();
    expect(after.inference_count - before.inference_count).toBe(2);
    expect(after.execution_count).toBeGreaterThan(before.execution_count);
    for (const name of ["", "tiny"]) {
      const { answer } = await client.call("ModelStatistics", { name });
      const [stats] = answer["model_stats"] as { inference_count: unknown }[];
      expect(Number(stats!.inference_count)).toBe(after.inference_count);
    }
    const all = (await server.app.inject("/v2/models/stats")).json<{ model_stats: object[] }>();
    expect(all).toEqual((await server.app.inject("/v2/models/tiny/stats")).json());
    expect(all.model_stats[0]).toMatchObject({ name: "tiny", version: "1", ...after });
    expect(after.inference_stats.compute_infer.ns).toBeGreaterThan(0);
    expect(await server.services.metrics.expose()).toContain(
      'grpc_server_handling_seconds_count{method="ModelInfer",code="OK"}',
    );
  });

  it("loads and unloads detectors by the repository verbs", async () => {
    const index = async (ready: boolean) =>
      (await client.call("RepositoryIndex", { ready }, as("read"))).answer["models"];
    const entry = { name: "tiny", version: detector, state: "READY", reason: "" };
    expect(await index(true)).toEqual([entry]);
    expect(await client.call("RepositoryModelUnload", { model_name: "tiny" }, as("read"))).toMatchObject({
      status: "PERMISSION_DENIED",
    });
    const unload = await client.call("RepositoryModelUnload", { model_name: "tiny" }, as("detectors:write"));
    expect(unload.code).toBe("OK");
    expect(await index(true)).toEqual([]);
    expect(await index(false)).toEqual([{ ...entry, state: "UNAVAILABLE", reason: "not active" }]);
    const file = {
      bytes_param: Buffer.from(markDetector(server.model.engine.description, { threshold: 6 })),
    };
    const load = await client.call(
      "RepositoryModelLoad",
      { model_name: "tiny", parameters: { "file:1/marks.safetensors": file } },
      as("detectors:write"),
    );
    expect(load.code, load.error).toBe("OK");
    expect(await index(true)).toHaveLength(1);
    const back = { model_name: "tiny", parameters: { detector: { string_param: detector } } };
    expect((await client.call("RepositoryModelLoad", back, as("detectors:write"))).code).toBe("OK");
    expect(await index(true)).toEqual([entry]);
  });

  it("answers the requests of a stream one by one, failures among them", async () => {
    const stream = client.stream();
    const answers: Record<string, unknown>[] = [];
    stream.on("data", (answer: Record<string, unknown>) => answers.push(answer));
    const ended = new Promise((resolve) => stream.on("end", resolve));
    stream.write(rawRequest(undefined, { id: "a" }));
    stream.write(rawRequest(undefined, { id: "b", model_name: "none" }));
    stream.write(
      rawRequest(undefined, {
        id: "c",
        parameters: { triton_enable_empty_final_response: { bool_param: true } },
      }),
    );
    stream.end();
    await ended;
    expect(answers).toMatchObject([
      { error_message: "", infer_response: { id: "a", outputs: [{ name: "logits" }] } },
      { error_message: 'no model "none" is served here', infer_response: { id: "b" } },
      { infer_response: { id: "c", parameters: { triton_final_response: { bool_param: true } } } },
    ]);
  });

  it("names no path and no stack", () => {
    expect(server.log.join("\n")).not.toContain("call failed");
  });
});
