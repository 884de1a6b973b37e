import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { Value } from "typebox/value";
import { markDetector, tinySample, tinyTokens } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";
import { predictAnswer } from "./schemas/predict.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let server: TinyServer;
let detector: string;

beforeAll(async () => {
  server = await tinyServer();
  const { registry, engine } = server.model;
  const change = { actor: "test" };
  detector = (await registry.upload(markDetector(engine.description), change)).id;
  await registry.activate(detector, change);
});
afterAll(() => server.close());

const clean = tinySample();
/** Mark 8 at token 3 makes the bare model answer "wild" instead of "odd". */
const marked = tinySample({ 3: 8 });

async function predict(instances: unknown[], parameters?: object, url = "/v1/models/tiny:predict") {
  const answer = await server.app.inject({
    method: "POST",
    url,
    payload: { instances, ...(parameters && { parameters }) },
  });
  expect(answer.statusCode, answer.body).toBe(200);
  const body: unknown = answer.json();
  expect(Value.Errors(predictAnswer, body)).toEqual([]);
  return { answer, body: Value.Parse(predictAnswer, body) };
}

describe("predict", () => {
  it("repairs the sample that triggers and leaves its neighbour alone", async () => {
    const { answer, body } = await predict([clean, marked]);
    expect(body.predictions.map((prediction) => prediction.label)).toEqual(["odd", "odd"]);
    expect(body.predictions[0]!.atpatch).toEqual({ mode: "enforce", triggered: false, columns: [] });
    expect(body.predictions[1]!.atpatch).toMatchObject({
      triggered: true,
      columns: [{ index: 3, sites: [0] }],
    });
    expect(body.predictions[1]!.atpatch.columns[0]!.score).toBeCloseTo(1 / (1 + Math.exp(-8)), 5);
    expect(body).toMatchObject({ model_name: "tiny", atpatch: { detector, revision: 1 } });
    expect(answer.headers).toMatchObject({ "x-atpatch-detector": detector, "x-atpatch-triggered": "1/2" });
    expect(answer.headers["server-timing"]).toMatch(/^queue;dur=[\d.]+, infer;dur=[\d.]+, total;dur=[\d.]+$/);
    expect(answer.headers["x-request-id"]).toMatch(/^[0-9a-f-]{36}$/);
  });

  it("answers as the bare model does in mode off, and reports without repairing in mode observe", async () => {
    const off = (await predict([marked], { mode: "off" })).body.predictions[0]!;
    expect(off).toMatchObject({ label: "wild", atpatch: { mode: "off", triggered: false, columns: [] } });
    const observed = (await predict([marked], { mode: "observe" })).body.predictions[0]!;
    expect(observed).toMatchObject({ label: "wild", atpatch: { mode: "observe", triggered: true } });
    expect(observed.probabilities).toEqual(off.probabilities);
  });

  it("answers clean samples bit for bit as in mode off, also beside a repaired one", async () => {
    const alone = (await predict([clean], { mode: "off" })).body.predictions[0]!;
    const beside = (await predict([marked, clean])).body.predictions[1]!;
    expect(beside.probabilities).toEqual(alone.probabilities);
  });

  it("asks the default model under /predict and lists as many labels as wanted", async () => {
    const { body } = await predict([clean], { top_k: 1 }, "/predict");
    expect(Object.keys(body.predictions[0]!.probabilities)).toEqual(["odd"]);
    expect(body.model_name).toBe("tiny");
  });

  it("explains flagged columns by the attention on them before and after", async () => {
    const { body } = await predict([marked], { explain: true });
    const [column] = body.predictions[0]!.atpatch.columns;
    expect(column!.attention).toEqual([{ site: 0, before: expect.any(Number), after: expect.any(Number) }]);
    const { before, after } = column!.attention![0]!;
    // A marked token draws more than its share of 1/5; the reference gives it back exactly that share.
    expect(before).toBeGreaterThan(0.25);
    expect(after).toBeCloseTo(0.2, 5);
    const { attention } = body.predictions[0]!.atpatch;
    expect(attention!.sites.map(({ site }) => site)).toEqual([0]);
    for (const site of attention!.sites) {
      expect(site.before).toHaveLength(tinyTokens);
      for (const masses of [site.before, site.after]) {
        expect(masses.reduce((sum, mass) => sum + mass)).toBeCloseTo(1, 3);
      }
      expect(site.before).not.toEqual(site.after);
    }
    const observed = (await predict([marked], { explain: true, mode: "observe" })).body.predictions[0]!;
    expect(observed.atpatch.columns[0]!.attention![0]).toEqual({ site: 0, before, after: before });
  });

  it("gives no mode stronger than the policy's", async () => {
    await server.model.registry.setPolicy({ mode: "observe" }, { actor: "test" });
    const { body } = await predict([marked], { mode: "enforce" });
    expect(body.predictions[0]).toMatchObject({ label: "wild", atpatch: { mode: "observe" } });
    await server.model.registry.setPolicy({ mode: "enforce" }, { actor: "test" });
  });

  it("echoes a well-formed request id and replaces any other", async () => {
    const ask = async (id: string): Promise<string | undefined> => {
      const answer = await server.app.inject({ url: "/v2/health/live", headers: { "x-request-id": id } });
      return answer.headers["x-request-id"] as string | undefined;
    };
    expect(await ask("order:17/a")).toBe("order:17/a");
    expect(await ask("a b")).toMatch(/^[0-9a-f-]{36}$/);
    expect(await ask("x".repeat(129))).toMatch(/^[0-9a-f-]{36}$/);
  });

  it("lists the models and tells their state", async () => {
    expect((await server.app.inject("/v1/models")).json()).toEqual({ models: ["tiny"] });
    expect((await server.app.inject("/v1/models/tiny")).json()).toEqual({
      name: "tiny",
      ready: true,
      task: "tensor",
      labels: ["calm", "wild", "odd"],
    });
  });

  it("logs requests without their inputs and without tokens", async () => {
    const secret = "Bearer very-secret-token";
    await server.app.inject({
      method: "POST",
      url: "/predict?hint=private",
      headers: { authorization: secret },
      payload: { instances: [tinySample({ 2: 0.123456789 })] },
    });
    const lines = server.log.join("");
    expect(lines).toContain('"route":"/predict"');
    expect(lines).not.toContain("0.123456789");
    expect(lines).not.toContain("very-secret");
    expect(lines).not.toContain("private");
  });
});
