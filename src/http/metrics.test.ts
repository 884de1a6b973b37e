import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { adminEntry } from "../service/tokens.ts";
import { markDetector, tinySample } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let server: TinyServer;
let text: string;
let id: string;

beforeAll(async () => {
  server = await tinyServer({ tokens: [adminEntry("root", "a-token")] });
  const { app, model } = server;
  id = (await model.registry.upload(markDetector(model.engine.description), { actor: "test" })).id;
  const predict = (mode: string, url = "/predict") =>
    app.inject({
      method: "POST",
      url,
      payload: { instances: [tinySample(), tinySample({ 2: 8, 3: 9 })], parameters: { mode } },
    });
  await predict("enforce");
  const headers = { authorization: "Bearer a-token" };
  await app.inject({ method: "PUT", url: "/admin/models/tiny/active", headers, payload: { detector: id } });
  await app.inject({
    method: "PUT",
    url: "/admin/models/tiny/active",
    headers,
    payload: { detector: "sha256-1" },
  });
  await predict("enforce");
  await predict("enforce");
  await predict("observe", "/v1/models/tiny:predict");
  await app.inject("/never/seen/path");
  const answer = await app.inject("/metrics");
  expect(answer.headers["content-type"]).toMatch(/^text\/plain/);
  text = answer.body;
});
afterAll(() => server.close());

/** The value of one series; labels in any order. */
function value(name: string, labels: Record<string, string> = {}): number | undefined {
  const wanted = Object.entries(labels).map(([label, of]) => `${label}="${of}"`);
  const line = text.split("\n").find((candidate) => {
    const match = /^(\w+)(?:\{(.*)\})? /.exec(candidate);
    const given = [...(match?.[2]?.matchAll(/\w+="[^"]*"/g) ?? [])].map(String);
    return (
      match?.[1] === name && given.length === wanted.length && wanted.every((label) => given.includes(label))
    );
  });
  return line === undefined ? undefined : Number(line.split(" ").at(-1));
}

describe("GET /metrics", () => {
  it("counts samples and triggered samples by detector and mode", () => {
    const label = id.slice("sha256-".length, "sha256-".length + 12);
    const of = (detector: string, mode: string) => ({ model: "tiny", detector, mode });
    expect(value("atpatch_samples_total", of("none", "enforce"))).toBe(2);
    expect(value("atpatch_triggered_samples_total", of("none", "enforce"))).toBe(0);
    expect(value("atpatch_samples_total", of(label, "enforce"))).toBe(4);
    expect(value("atpatch_triggered_samples_total", of(label, "enforce"))).toBe(2);
    expect(value("atpatch_triggered_samples_total", of(label, "observe"))).toBe(1);
    expect(value("atpatch_flagged_columns_total", { model: "tiny", site: "0" })).toBe(6);
    expect(value("atpatch_detector_info", { model: "tiny", detector: label, role: "active" })).toBe(1);
  });

  it("is ready as the model is, and has counters that alerts watch before the first of them", async () => {
    const { body } = await server.app.inject("/metrics");
    for (const line of [
      'atpatch_model_ready{model="tiny"} 1',
      'atpatch_guard_rollbacks_total{model="tiny",reason="trigger_rate"} 0',
      'atpatch_detector_swaps_total{model="tiny",result="failed"} 0',
    ]) {
      expect(body).toContain(`${line}\n`);
    }
  });

  it("counts swaps by result and times those that happened", () => {
    expect(value("atpatch_detector_swaps_total", { model: "tiny", result: "ok" })).toBe(1);
    expect(value("atpatch_detector_swaps_total", { model: "tiny", result: "refused" })).toBe(1);
    expect(value("atpatch_detector_swap_duration_seconds_count", { model: "tiny" })).toBe(1);
  });

  it("times the stages and reports the engine", () => {
    for (const stage of ["decode", "queue", "infer", "encode"]) {
      expect(value("atpatch_stage_duration_seconds_count", { model: "tiny", stage }), stage).toBe(4);
    }
    expect(value("atpatch_queue_depth", { model: "tiny" })).toBe(0);
    // Four requests of two samples and the self-test's three runs of four.
    expect(value("atpatch_batch_size_sum", { model: "tiny" })).toBe(20);
  });

  it("labels requests by route template, never by their path", () => {
    const count = "http_request_duration_seconds_count";
    expect(value(count, { method: "POST", route: "/predict", status: "200" })).toBe(3);
    expect(value(count, { method: "POST", route: "/v1/models/{model}:predict", status: "200" })).toBe(1);
    expect(value(count, { method: "PUT", route: "/admin/models/{model}/active", status: "404" })).toBe(1);
    expect(value(count, { method: "GET", route: "unmatched", status: "404" })).toBe(1);
    expect(text).not.toContain("never/seen");
  });
});
