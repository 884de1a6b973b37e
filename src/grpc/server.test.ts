/** The gRPC front end through its real interface: what only this protocol has. Inference itself: infer.conformance.test.ts. */
import { createServer } from "node:net";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { writeContents } from "./contents.ts";
import { loadDefinitions } from "./definitions.ts";
import { drain } from "../serve.ts";
import { float32 } from "../shared/tensor.ts";
import { mutilation } from "../test/mutilation.ts";
import { scopeToken, scopeTokens } from "../test/admin-client.ts";
import { createGrpcClient, type GrpcClient } from "../test/grpc-client.ts";
import { markDetector, tinySample } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer, type TinyServerOptions } from "../test/tiny-server.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

interface Open {
  readonly server: TinyServer;
  readonly client: GrpcClient;
  readonly port: number;
}

const opened: Open[] = [];

async function open(options: TinyServerOptions = {}): Promise<Open> {
  const server = await tinyServer(options);
  const port = await server.grpc.listen("127.0.0.1", 0);
  const made = { server, port, client: await createGrpcClient(port) };
  opened.push(made);
  return made;
}

async function closeAll(): Promise<void> {
  for (const { client, server } of opened.splice(0)) {
    client.close();
    await server.close();
  }
}

const request = (samples = [tinySample({ 3: 8 })], rest: object = {}): object => ({
  model_name: "tiny",
  inputs: [{ name: "x", datatype: "FP32", shape: [samples.length, 5, 4] }],
  raw_input_contents: [Buffer.from(Float32Array.from(samples.flat(2)).buffer)],
  ...rest,
});
const as = (scope: string) => ({ headers: { authorization: `Bearer ${scopeToken(scope)}` } });
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await pause(5);
}

describe("the gRPC server", () => {
  let server: TinyServer;
  let client: GrpcClient;
  let detector: string;
  beforeAll(async () => {
    ({ server, client } = await open({ tokens: scopeTokens, openOverride: false, bodyLimit: 2 ** 21 }));
    const { registry, engine } = server.model;
    detector = (await registry.upload(markDetector(engine.description), { actor: "test" })).id;
    await registry.activate(detector, { actor: "test" });
  });
  afterAll(closeAll);

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
    ["ModelInfer", request([], {}), "INVALID_ARGUMENT", "ATPATCH_BAD_INPUT"],
    ["Check", { service: "other" }, "NOT_FOUND", "ATPATCH_NOT_FOUND"],
    ["RepositoryIndex", {}, "UNAUTHENTICATED", "ATPATCH_UNAUTHENTICATED"],
    ["RepositoryModelUnload", { model_name: "tiny" }, "UNAUTHENTICATED", "ATPATCH_UNAUTHENTICATED"],
  ])("refuses %s %j", async (method, message, status, code) => {
    const answer = await client.call(method, message, { headers: { "x-request-id": "mine" } });
    expect(answer).toMatchObject({ status, code, headers: { "x-request-id": "mine" } });
  });

  const x = { name: "x", datatype: "FP32", shape: [1, 5, 4] };
  const bytes = Buffer.alloc(80);
  const typedContents = writeContents(float32([20], new Float32Array(20)));
  it.each([
    [
      "half precision that is typed",
      { inputs: [{ ...x, datatype: "FP16", contents: { fp32_contents: [1] } }], raw_input_contents: [] },
      /FP16 has no typed contents, send the tensor in raw_input_contents/,
    ],
    [
      "raw and typed contents",
      { inputs: [{ ...x, contents: { fp32_contents: [1] } }] },
      /inputs\[0\]\.contents: raw_input_contents is there as well/,
    ],
    [
      "contents of another datatype",
      { inputs: [{ ...x, contents: { fp64_contents: [1] } }], raw_input_contents: [] },
      /inputs\[0\]\.contents\.fp64_contents: FP32 belongs in fp32_contents/,
    ],
    [
      "too few typed values",
      { inputs: [{ ...x, contents: { fp32_contents: [1] } }], raw_input_contents: [] },
      /shape \[1, 5, 4\] needs 20 values, got 1/,
    ],
    [
      "typed values out of range",
      {
        inputs: [{ ...x, datatype: "INT8", shape: [1], contents: { int_contents: [128] } }],
        raw_input_contents: [],
      },
      /int_contents\[0\]: expected a whole number from -128 to 127, got 128/,
    ],
    [
      "too many raw contents",
      { raw_input_contents: [bytes, bytes] },
      /expected one for each of the 1 inputs, got 2/,
    ],
    [
      "raw contents that are too short",
      { raw_input_contents: [bytes.subarray(1)] },
      /FP32 of shape \[1, 5, 4\] needs 80 bytes, got 79/,
    ],
    [
      "a negative dimension",
      { inputs: [{ ...x, shape: [-1, 5, 4] }] },
      /inputs\[0\]\.shape\[0\]: expected a whole number from 0, got -1/,
    ],
    [
      "a shape that overflows",
      { inputs: [{ ...x, shape: ["4611686018427387904", 4, 4] }] },
      /inputs\[0\]\.shape/,
    ],
    ["a shape of too many elements", { inputs: [{ ...x, shape: [65536, 65536, 4] }] }, /is too large/],
    [
      "BYTES whose length lies",
      {
        inputs: [{ ...x, datatype: "BYTES", shape: [1] }],
        raw_input_contents: [Buffer.from([255, 255, 255, 127, 1])],
      },
      /element 0 of BYTES is said to have 2147483647 bytes, 1 are left/,
    ],
    [
      "an unknown datatype",
      { inputs: [{ ...x, datatype: "FLOAT" }] },
      /inputs\[0\]\.datatype: "FLOAT" is not one of/,
    ],
  ])("refuses %s", async (_what, change, error) => {
    const answer = await client.call("ModelInfer", { ...request(), ...change });
    expect(["ATPATCH_BAD_INPUT", "ATPATCH_UNPROCESSABLE"]).toContain(answer.code);
    expect(answer.error).toMatch(error);
    expect(await client.call("ModelInfer", request())).toMatchObject({ code: "OK" });
  });

  it.each([
    [
      "ModelInfer",
      "empty inputs",
      Buffer.from([0x2a, 0]),
      "ATPATCH_TOO_LARGE",
      /names, shapes and parameters of a message take \d+ bytes/,
    ],
    ["ModelInfer", "empty raw contents", Buffer.from([0x3a, 0]), "ATPATCH_TOO_LARGE", /take \d+ bytes/],
    ["ModelInfer", "empty parameters", Buffer.from([0x22, 0]), "ATPATCH_TOO_LARGE", /take \d+ bytes/],
    [
      "RepositoryModelLoad",
      "empty parameters",
      Buffer.from([0x1a, 0]),
      "ATPATCH_TOO_LARGE",
      /take \d+ bytes/,
    ],
    [
      "ModelInfer",
      "what is no message",
      Buffer.from([0xff, 0xff]),
      "ATPATCH_BAD_INPUT",
      /the message is malformed/,
    ],
  ])("refuses %s of millions of %s before it decodes them", async (method, _what, part, code, error) => {
    const message = Buffer.concat(Array.from({ length: 700_000 }, () => part));
    const answer = await client.call(method, message);
    expect(answer).toMatchObject({ code, error: expect.stringMatching(error) as string });
  });

  it.each([
    ["contents that end early", Buffer.from([0x32, 80, 0, 0])],
    ["a number of eleven bytes", Buffer.concat([Buffer.from([0x1a, 11]), Buffer.alloc(11, 0xff)])],
  ])("refuses %s", async (_what, contents) => {
    const { inference } = await loadDefinitions();
    const [datatype, shape] = contents[0] === 0x1a ? ["INT64", [1]] : ["FP32", [20]];
    const input = { name: "x", datatype, shape, contents };
    const message = inference["ModelInfer"]!.requestSerialize({ model_name: "tiny", inputs: [input] });
    expect(await client.call("ModelInfer", message)).toMatchObject({
      code: "ATPATCH_BAD_INPUT",
      error: "inputs[0].contents: the message is malformed",
    });
  });

  it("has an answer for every mutilated message", async () => {
    const { inference } = await loadDefinitions();
    const serialize = inference["ModelInfer"]!.requestSerialize;
    for (const message of [
      serialize(request()),
      serialize({ ...request(), raw_input_contents: [], inputs: [{ ...x, contents: typedContents }] }),
    ]) {
      await fc.assert(
        fc.asyncProperty(mutilation(message.length), async (change) => {
          const { status, error } = await client.call("ModelInfer", change(message));
          expect(
            ["OK", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "UNAUTHENTICATED"],
            error,
          ).toContain(status);
        }),
        { numRuns: 120 },
      );
    }
  });

  it("refuses messages over the body limit and serves on", async () => {
    const large = await client.call(
      "ModelInfer",
      request(Array.from({ length: 27_000 }, () => tinySample())),
    );
    expect(large).toMatchObject({ status: "RESOURCE_EXHAUSTED" });
    expect(await client.call("ModelInfer", request())).toMatchObject({ code: "OK" });
  });

  it("asks for the scope before it weakens the mode", async () => {
    const off = request(undefined, { parameters: { atpatch_mode: { string_param: "off" } } });
    expect(await client.call("ModelInfer", off)).toMatchObject({ status: "UNAUTHENTICATED" });
    expect(await client.call("ModelInfer", off, as("read"))).toMatchObject({ status: "PERMISSION_DENIED" });
    const { answer } = await client.call("ModelInfer", off, as("predict:override"));
    expect(answer).toMatchObject({ parameters: { atpatch_mode: { string_param: "off" } } });
  });

  it("counts what it did, for one model and for all", async () => {
    const before = server.model.statistics.snapshot();
    await client.call("ModelInfer", request([tinySample(), tinySample()]));
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
    stream.write(request(undefined, { id: "a" }));
    stream.write(request(undefined, { id: "b", model_name: "none" }));
    stream.write(
      request(undefined, {
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

describe("under load and at the end", () => {
  afterEach(closeAll);

  it("drops what waits when the caller leaves or its deadline passes", async () => {
    const { server, client } = await open({ ballast: 40 });
    const { engine } = server.model;
    const running = client.call("ModelInfer", request());
    await pause(30);
    const leave = new AbortController();
    const left = client.call("ModelInfer", request(), { cancel: leave.signal });
    const late = client.call("ModelInfer", request(), { deadline: Date.now() + 40 });
    await until(() => engine.queued === 2);
    leave.abort();
    expect(await left).toMatchObject({ status: "CANCELLED" });
    expect(await late).toMatchObject({ status: "DEADLINE_EXCEEDED" });
    await until(() => engine.queued === 0);
    expect(await running).toMatchObject({ code: "OK" });
    const metrics = await server.services.metrics.expose();
    expect(metrics).toContain('atpatch_rejected_total{model="tiny",reason="cancelled"}');
  });

  it("tells a full queue with the time to wait", async () => {
    const { client, server } = await open({ ballast: 40, settings: { queue: 1 } });
    const first = client.call("ModelInfer", request());
    await pause(30);
    const second = client.call("ModelInfer", request());
    await until(() => server.model.engine.queued === 1);
    const third = await client.call("ModelInfer", request());
    expect(third).toMatchObject({
      status: "RESOURCE_EXHAUSTED",
      code: "ATPATCH_QUEUE_FULL",
      headers: { "grpc-retry-pushback-ms": "1000" },
    });
    expect((await Promise.all([first, second])).map(({ code }) => code)).toEqual(["OK", "OK"]);
  });

  it("answers what it accepted, ends its streams and takes nothing new when it drains", async () => {
    const { server, client, port } = await open({ ballast: 40 });
    const statuses: unknown[] = [];
    const watch = client.watch({ service: "" });
    watch.on("data", ({ status }: { status: unknown }) => statuses.push(status));
    const watched = new Promise((resolve) => watch.on("end", resolve));
    const idle = client.stream();
    const idled = new Promise((resolve) => idle.on("error", resolve));
    idle.resume();
    await until(() => statuses.length === 1);
    const accepted = [client.call("ModelInfer", request()), client.call("ModelInfer", request())];
    await until(() => server.model.engine.queued === 1);
    await drain({ ...server, close: () => server.model.close() }, 0);
    expect((await Promise.all(accepted)).map(({ code }) => code)).toEqual(["OK", "OK"]);
    await watched;
    expect(statuses).toEqual(["SERVING", "NOT_SERVING"]);
    expect(await idled).toMatchObject({ details: "the server is draining" });
    const later = await createGrpcClient(port);
    expect(await later.call("ServerLive", {})).toMatchObject({ status: "UNAVAILABLE" });
    later.close();
  });

  it("says so when its port is taken", async () => {
    const blocker = createServer();
    const port = await new Promise<number>((resolve) => {
      blocker.listen(0, "127.0.0.1", () => resolve((blocker.address() as { port: number }).port));
    });
    const server = await tinyServer();
    await expect(server.grpc.listen("127.0.0.1", port)).rejects.toThrow(
      /^listen EADDRINUSE: address already in use 127\.0\.0\.1:\d+$/,
    );
    await server.close();
    await new Promise((resolve) => blocker.close(resolve));
  });
});
