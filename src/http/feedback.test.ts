import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { instrument } from "../hotfix/instrument.ts";
import { callAdmin, done, refused, scopeTokens } from "../test/admin-client.ts";
import { markDetector, tinySample } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";
import { readDebugSet } from "../training/debug-set.ts";
import * as schemas from "./schemas/feedback.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const tiny = "/models/tiny";

async function predict(server: TinyServer, id: string, instances: unknown[]): Promise<void> {
  const answer = await server.app.inject({
    method: "POST",
    url: "/predict",
    headers: { "x-request-id": id },
    payload: { instances },
  });
  expect(answer.statusCode, answer.body).toBe(200);
}

describe("feedback on a server that records inputs", () => {
  let server: TinyServer;
  beforeAll(async () => {
    server = await tinyServer({
      tokens: scopeTokens,
      recording: { mode: "inputs" },
      shipped: (bytes) => [markDetector(instrument({ bytes, name: "model.onnx" }).description)],
    });
    await predict(server, "a/1", [tinySample({ 0: 0.1 }), tinySample({ 3: 9 })]);
    await predict(server, "b", [tinySample({ 0: 0.2 })]);
    await predict(server, "c", [tinySample({ 0: 0.1 })]);
  });
  afterAll(() => server.close());

  it("shows what it recorded to those who may see it, and says so in the model's state", async () => {
    const { samples, recorder } = await done(
      schemas.recordings,
      callAdmin(server, "GET", `${tiny}/recordings`, { as: "recordings:read" }),
    );
    expect(samples.map(({ request_id, sample, triggered }) => [request_id, sample, triggered])).toEqual([
      ["c", 0, false],
      ["b", 0, false],
      ["a/1", 1, true],
      ["a/1", 0, false],
    ]);
    expect(recorder).toMatchObject({ mode: "inputs", samples: 4, marked: 0 });
    const [triggered] = (
      await done(schemas.recordings, callAdmin(server, "GET", `${tiny}/recordings?triggered=true`))
    ).samples;
    expect(triggered).toMatchObject({ request_id: "a/1", sample: 1, has_instance: true });
    expect(triggered!.columns).toMatchObject([{ index: 3 }]);
    expect(triggered!.features).toMatchObject([{ site: 0, column: 3 }]);
    expect(triggered!.features[0]!.values).toHaveLength(11);
    const one = await done(schemas.recordedInstance, callAdmin(server, "GET", `${tiny}/recordings/a%2F1/1`));
    expect(one.instance).toEqual(tinySample({ 3: 9 }));
    const state = (await callAdmin(server, "GET", tiny, { as: "read" })).json<{ recorder: unknown }>();
    expect(state.recorder).toMatchObject({ mode: "inputs", samples: 4 });
  });

  it("makes a debug set of marked and clean samples, each instance once", async () => {
    const mark = (body: object) =>
      callAdmin(server, "POST", `${tiny}/feedback`, { as: "feedback:write", body });
    const marked = await done(
      schemas.recordedSample,
      mark({ request_id: "a/1", sample: 1, label: "odd", set: "failing" }),
    );
    expect(marked.mark).toMatchObject({ set: "failing", label: 2, by: "feedback:write" });
    expect((await done(schemas.recordedSample, mark({ request_id: "b" }))).mark).toMatchObject({
      set: "clean",
    });

    const list = await done(
      schemas.feedbackList,
      callAdmin(server, "GET", `${tiny}/feedback`, { as: "read" }),
    );
    expect(list.debug_set).toEqual({ failing: 1, clean: 2, without_instance: 0 });
    expect(list.marked.map(({ request_id }) => request_id)).toEqual(["b", "a/1"]);

    const { rawPayload, headers } = await callAdmin(server, "GET", `${tiny}/debugset`, {
      as: "recordings:read",
    });
    expect(headers["content-type"]).toBe("application/x-ndjson");
    async function* bytes() {
      yield rawPayload;
    }
    const set = await readDebugSet(bytes(), { labels: 3 });
    expect(set.map(({ id, set: kind, label, instance }) => ({ id, kind, label, instance }))).toEqual([
      { id: "a/1#1", kind: "failing", label: 2, instance: tinySample({ 3: 9 }) },
      { id: "b#0", kind: "clean", label: 2, instance: tinySample({ 0: 0.2 }) },
      { id: "a/1#0", kind: "clean", label: 2, instance: tinySample({ 0: 0.1 }) },
    ]);
  });

  it("refuses marks that make no sense, in words", async () => {
    const mark = (body: object) => callAdmin(server, "POST", `${tiny}/feedback`, { body });
    expect(await refused(mark({ request_id: "nowhere", label: 0 }), 404, "ATPATCH_NOT_FOUND")).toContain(
      "not recorded",
    );
    expect(await refused(mark({ request_id: "b", label: "tame" }), 400, "ATPATCH_BAD_INPUT")).toContain(
      '"calm", "wild", "odd"',
    );
    expect(await refused(mark({ request_id: "b", label: 3 }), 400, "ATPATCH_BAD_INPUT")).toContain(
      "no class",
    );
    expect(await refused(mark({ request_id: "b", set: "failing" }), 400, "ATPATCH_BAD_INPUT")).toContain(
      "true class",
    );
    expect(
      await refused(mark({ request_id: "b", label: 2, set: "failing" }), 400, "ATPATCH_BAD_INPUT"),
    ).toContain("not failing");
    await refused(mark({ request_id: "b", why: 1 }), 400, "ATPATCH_BAD_INPUT");
  });

  it("takes marks off, and forgets everything when told to", async () => {
    await done(schemas.forgotten, callAdmin(server, "DELETE", `${tiny}/feedback/a%2F1/1`));
    const list = () => done(schemas.feedbackList, callAdmin(server, "GET", `${tiny}/feedback`));
    expect((await list()).marked).toHaveLength(1);
    expect(await done(schemas.forgotten, callAdmin(server, "DELETE", `${tiny}/feedback`))).toEqual({
      forgotten: 1,
    });
    expect((await list()).marked).toEqual([]);
    expect(await done(schemas.forgotten, callAdmin(server, "DELETE", `${tiny}/recordings`))).toEqual({
      forgotten: 4,
    });
    const why = await refused(callAdmin(server, "GET", `${tiny}/debugset`), 409, "ATPATCH_CONFLICT");
    expect(why).toContain("nothing was recorded yet");
  });
});

describe("feedback on a server that records nothing", () => {
  it("keeps nothing, and says how to change that", async () => {
    const server = await tinyServer({ tokens: scopeTokens });
    try {
      await predict(server, "a", [tinySample()]);
      const { samples, recorder } = await done(
        schemas.recordings,
        callAdmin(server, "GET", `${tiny}/recordings`),
      );
      expect(samples).toEqual([]);
      expect(recorder).toMatchObject({ mode: "off", samples: 0, bytes: 0, oldest: null });
      const mark = callAdmin(server, "POST", `${tiny}/feedback`, { body: { request_id: "a", label: 0 } });
      expect(await refused(mark, 409, "ATPATCH_CONFLICT")).toContain("ATPATCH_RECORD=inputs");
    } finally {
      await server.close();
    }
  });
});
