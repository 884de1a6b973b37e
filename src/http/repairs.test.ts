import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { repairProcesses } from "../compose-repair.ts";
import type { ServerEvent } from "../service/events.ts";
import { callAdmin, done, refused, scopeTokens } from "../test/admin-client.ts";
import { tinyLabels, tinyModel, tinyTokens } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";
import * as feedbackSchemas from "./schemas/feedback.ts";
import * as schemas from "./schemas/repairs.ts";

// A repair starts a process that loads everything from the sources.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const tiny = "/models/tiny";
const options = { false_flag_rate: 0.1, max_altered: 0.02 };

/** Numbers from 0 to 1, the same at every run. */
function draws(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

/** Tokens that are answered "calm" or "odd"; a mark of 9 on one of them makes it "wild". */
function sample(random: () => number, marked: boolean): number[][] {
  const calm = random() < 0.5 ? 2.5 : 0;
  const tokens = Array.from({ length: tinyTokens }, () => [
    0.3 * random(),
    1,
    calm + 0.2 * random(),
    0.2 * random(),
  ]);
  if (marked) tokens[1 + Math.floor(random() * 4)]![0] = 20 + random();
  return tokens;
}

describe("repairs", () => {
  let folder: string;
  let server: TinyServer;
  const events: ServerEvent[] = [];
  beforeAll(async () => {
    folder = join(await mkdtemp(join(tmpdir(), "atpatch-repairs-")), "tiny");
    await mkdir(folder);
    await writeFile(join(folder, "model.onnx"), tinyModel());
    const settings = { task: "tensor", labels: tinyLabels, firstKey: 1 };
    await writeFile(join(folder, "atpatch.json"), JSON.stringify(settings));
    server = await tinyServer({
      tokens: scopeTokens,
      recording: { mode: "inputs", samples: 500 },
      bodyLimit: 2 ** 20,
      repairs: repairProcesses(() => folder),
    });
    server.services.events.subscribe((event) => events.push(event));
  });
  afterAll(async () => {
    await server.close();
    await rm(join(folder, ".."), { recursive: true, force: true });
  });

  async function predict(id: string, instances: unknown[]) {
    const answer = await server.app.inject({
      method: "POST",
      url: "/predict",
      headers: { "x-request-id": id },
      payload: { instances },
    });
    expect(answer.statusCode, answer.body).toBe(200);
    return answer.json<{ predictions: { label: string; index: number; atpatch: { triggered: boolean } }[] }>()
      .predictions;
  }
  const start = (body: object | Buffer = options, query = "") =>
    callAdmin(server, "POST", `${tiny}/repairs${query}`, { as: "detectors:write", body });
  async function ended(id: string) {
    for (;;) {
      const job = await done(
        schemas.repairJob,
        callAdmin(server, "GET", `${tiny}/repairs/${id}`, { as: "read" }),
      );
      if (job.state !== "running") return job;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  it("asks for marked samples, or a set, before it starts anything", async () => {
    const why = await refused(start(), 422, "ATPATCH_TRAINING");
    expect(why).toContain("mark wrong answers first");
    const line = JSON.stringify({ id: "a", set: "clean", label: 7, instance: [] });
    expect(await refused(start(Buffer.from(line)), 400, "ATPATCH_BAD_DEBUG_SET")).toContain("line 1: label");
    expect(await refused(start({ ...options, seeds: 1 }), 400, "ATPATCH_BAD_INPUT")).toContain("seeds");
    await refused(start({ false_flag_rate: 0 }), 400, "ATPATCH_BAD_INPUT");
    expect(await done(schemas.repairList, callAdmin(server, "GET", `${tiny}/repairs`))).toEqual({
      repairs: [],
    });
  });

  it("turns marked traffic into a detector that repairs it", async () => {
    const random = draws(1);
    for (let i = 0; i < 5; i += 1)
      await predict(
        `clean-${i}`,
        Array.from({ length: 8 }, () => sample(random, false)),
      );
    for (let i = 0; i < 10; i += 1) {
      const attacked = sample(random, true);
      const [answer] = await predict(`failing-${i}`, [attacked]);
      expect(answer!.label).toBe("wild");
      const label = attacked[0]![2]! > 2 ? "calm" : "odd";
      await done(
        feedbackSchemas.recordedSample,
        callAdmin(server, "POST", `${tiny}/feedback`, { body: { request_id: `failing-${i}`, label } }),
      );
    }
    const job = await done(schemas.repairJob, start({ ...options, reason: "wild answers" }), 202);
    expect(job).toMatchObject({
      state: "running",
      samples: { clean: 40, failing: 10 },
      by: "detectors:write",
    });
    expect(await refused(start(), 409, "ATPATCH_CONFLICT")).toContain("running already");

    const result = await ended(job.id);
    expect(result).toMatchObject({ state: "done", error: null });
    expect(result.report).toMatchObject({ ran: true });
    const detectors = (await callAdmin(server, "GET", `${tiny}/detectors`)).json<{ detectors: unknown[] }>();
    expect(detectors.detectors).toMatchObject([{ id: result.detector, role: null }]);
    const [entry] = (await callAdmin(server, "GET", `${tiny}/history`)).json<{ entries: object[] }>().entries;
    expect(entry).toMatchObject({ action: "uploaded", actor: "detectors:write", detector: result.detector });
    expect(entry).toHaveProperty(
      "reason",
      expect.stringMatching(/^repair \w+ from 10 failing and 40 clean samples: wild/),
    );

    const told = events
      .filter(({ name }) => name === "repair")
      .map(({ id, data }): Record<string, unknown> => ({ kept: id !== null, ...data }));
    expect(told[0]).toMatchObject({ kept: true, state: "running", repair: job.id });
    expect(told.at(-1)).toMatchObject({ kept: true, state: "done", detector: result.detector });
    expect(told.map(({ stage }) => stage)).toEqual(expect.arrayContaining(["localising", "storing"]));

    await callAdmin(server, "PUT", `${tiny}/active`, { body: { detector: result.detector } });
    const [repaired] = await predict("after", [sample(random, true)]);
    expect(repaired!.atpatch.triggered).toBe(true);
    expect(repaired!.label).not.toBe("wild");
    await refused(callAdmin(server, "DELETE", `${tiny}/repairs/${job.id}`), 409, "ATPATCH_CONFLICT");
  });

  it("says why there is no detector when attention does not carry the failures", async () => {
    const random = draws(2);
    const line = (i: number, set: string, label: number, instance: unknown): string =>
      JSON.stringify({ id: `${set}-${i}`, set, label, pair: null, instance });
    const clean = Array.from({ length: 40 }, () => sample(random, false)).map((instance, i) =>
      line(i, "clean", instance[0]![2]! > 2 ? 0 : 2, instance),
    );
    // Ordinary samples that somebody calls wrong.
    const failing = Array.from({ length: 10 }, () => sample(random, false)).map((instance, i) =>
      line(i, "failing", 1, instance),
    );
    const set = Buffer.from([...clean, ...failing].join("\n"));
    const query = `?false_flag_rate=0.1&seed=3`;
    const job = await done(schemas.repairJob, start(set, query), 202);
    expect(job).toMatchObject({ samples: { clean: 40, failing: 10 }, options: { seed: 3 } });
    const result = await ended(job.id);
    expect(result).toMatchObject({ state: "failed", detector: null, error: { code: "ATPATCH_TRAINING" } });
    expect(result.error!.error).toContain("attention columns do not carry these failures");
  });

  it("is cancelled at once, and none is started by a server that stops", async () => {
    const job = await done(schemas.repairJob, start(), 202);
    const cancelled = callAdmin(server, "DELETE", `${tiny}/repairs/${job.id}`, { as: "detectors:write" });
    expect(await done(schemas.repairJob, cancelled)).toMatchObject({ state: "cancelled", detector: null });
    expect(events.at(-1)).toMatchObject({ name: "repair", data: { repair: job.id, state: "cancelled" } });
    await server.services.repairs.close();
    await refused(start(), 503, "ATPATCH_NOT_READY");
  });
});
