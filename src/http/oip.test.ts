import { connect, type AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { Value } from "typebox/value";
import { extensions } from "../service/metadata.ts";
import { markDetector, tinySample } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";
import { inferAnswer, modelMetadata } from "./schemas/oip.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let server: TinyServer;
let detector: string;

beforeAll(async () => {
  server = await tinyServer();
  const { registry, engine } = server.model;
  detector = (await registry.upload(markDetector(engine.description), { actor: "test" })).id;
  await registry.activate(detector, { actor: "test" });
});
afterAll(() => server.close());

const marked = tinySample({ 3: 8 });
const tensor = (...samples: number[][][]) => ({
  name: "x",
  datatype: "FP32",
  shape: [samples.length, 5, 4],
  data: samples.flat(2),
});

async function infer(body: object, path = "/v2/models/tiny/infer", headers: Record<string, string> = {}) {
  const payload = JSON.stringify(body);
  const answer = await server.app.inject({
    method: "POST",
    url: path,
    headers: { "content-type": "application/json", ...headers },
    payload,
  });
  expect(answer.statusCode, answer.body).toBe(200);
  expect(Value.Errors(inferAnswer, answer.json())).toEqual([]);
  return { answer, body: Value.Parse(inferAnswer, answer.json()) };
}

describe("open inference protocol", () => {
  it.each([
    ["/v2/health/live", { live: true }],
    ["/v2/health/ready", { ready: true }],
    ["/v2", { name: "atpatch", version: "0.0.0", extensions: [...extensions] }],
    ["/v2/", { name: "atpatch", version: "0.0.0", extensions: [...extensions] }],
    ["/v2/models", { models: ["tiny"] }],
    ["/v2/models/tiny/ready", { name: "tiny", ready: true }],
    ["/v2/models/tiny/versions/1/ready", { name: "tiny", ready: true }],
  ])("answers GET %s", async (url, expected) => {
    const answer = await server.app.inject(url);
    expect([answer.statusCode, answer.json()]).toEqual([200, expected]);
  });

  it("describes the model as it was before the patch", async () => {
    for (const url of ["/v2/models/tiny", "/v2/models/tiny/versions/1"]) {
      const body: unknown = (await server.app.inject(url)).json();
      expect(Value.Parse(modelMetadata, body)).toEqual({
        name: "tiny",
        versions: ["1"],
        platform: "onnx_onnxv1",
        inputs: [{ name: "x", datatype: "FP32", shape: [-1, 5, 4] }],
        outputs: [{ name: "logits", datatype: "FP32", shape: [-1, 3] }],
        properties: {
          atpatch_sites: "1",
          atpatch_fingerprint: server.model.engine.description.fingerprint,
        },
      });
    }
  });

  it.each([
    "/v2/models/none",
    "/v2/models/none/ready",
    "/v2/models/tiny/versions/2",
    "/v2/models/tiny/versions/2/ready",
  ])("answers 404 to %s", async (url) => {
    const answer = await server.app.inject(url);
    expect([answer.statusCode, answer.json<{ code: string }>().code]).toEqual([404, "ATPATCH_UNKNOWN_MODEL"]);
  });

  it("infers from flat and from nested data, in both paths", async () => {
    const flat = await infer({ id: "42", inputs: [tensor(tinySample(), marked)] });
    const nested = await infer(
      { inputs: [{ ...tensor(tinySample(), marked), data: [tinySample(), marked] }] },
      "/v2/models/tiny/versions/1/infer",
    );
    expect(flat.body).toMatchObject({
      model_name: "tiny",
      model_version: "1",
      id: "42",
      parameters: {
        atpatch_detector: detector,
        atpatch_mode: "enforce",
        atpatch_triggered: "0,1",
        atpatch_revision: 1,
      },
      outputs: [{ name: "logits", datatype: "FP32", shape: [2, 3] }],
    });
    expect(nested.body.outputs).toEqual(flat.body.outputs);
    expect(nested.body).not.toHaveProperty("id");
    expect(flat.answer.headers).toMatchObject({
      "x-atpatch-detector": detector,
      "x-atpatch-triggered": "1/2",
    });
    expect(flat.answer.headers["server-timing"]).toContain("infer;dur=");
  });

  it("honours the mode, the wanted outputs, and parameters of other servers by letting them pass", async () => {
    const { body } = await infer({
      parameters: { atpatch_mode: "off", binary_data_output: true, priority: 1 },
      inputs: [tensor(marked)],
      outputs: [{ name: "logits", parameters: { binary_data: false } }],
    });
    expect(body.parameters).toMatchObject({ atpatch_mode: "off", atpatch_triggered: "0" });
    const [calm, wild, odd] = body.outputs[0]!.data as number[];
    expect([calm, odd]).toEqual([0, 1]);
    expect(wild).toBeCloseTo(1.6, 5);
  });

  it("adds the attention on every column when asked to explain", async () => {
    const { body } = await infer({ parameters: { atpatch_explain: true }, inputs: [tensor(marked)] });
    expect(body.outputs.map((output) => output.name)).toEqual([
      "logits",
      "atpatch.mass.before.0",
      "atpatch.mass.after.0",
    ]);
    for (const { data, shape } of body.outputs.slice(1)) {
      expect(shape).toEqual([1, 5]);
      expect((data as number[]).reduce((sum, mass) => sum + mass)).toBeCloseTo(1, 5);
    }
    expect(body.outputs[1]!.data![3]).toBeGreaterThan(0.25);
    expect(body.outputs[2]!.data![3]).toBeCloseTo(0.2, 5);
  });
});

describe("a socket", () => {
  beforeAll(() => server.app.listen({ port: 0, host: "127.0.0.1" }));

  it.each([
    ["HELLO\r\n\r\n", "400 Bad Request", "the request is not HTTP"],
    [`GET /v2 HTTP/1.1\r\nx: ${"a".repeat(20_000)}\r\n\r\n`, "431 ", "the headers are too large"],
  ])("answers %.12j in the form of every other failure", async (request, status, error) => {
    const { port } = server.app.server.address() as AddressInfo;
    const socket = connect(port).end(request);
    const answer = await text(socket);
    expect(answer.startsWith(`HTTP/1.1 ${status}`), answer).toBe(true);
    expect(JSON.parse(answer.split("\r\n\r\n")[1]!)).toEqual({ error, code: "ATPATCH_BAD_INPUT" });
  });

  it("reads a body without a content type as JSON", async () => {
    const { port } = server.app.server.address() as AddressInfo;
    const body = new TextEncoder().encode(JSON.stringify({ inputs: [tensor(marked)] }));
    // A body of bytes goes out without a content type.
    const answer = await fetch(`http://127.0.0.1:${port}/v2/models/tiny/infer`, { method: "POST", body });
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ parameters: { atpatch_triggered: "1" } });
  });
});
