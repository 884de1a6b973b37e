import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { callAdmin, done, refused, scopeTokens, type Method, type Options } from "../test/admin-client.ts";
import { markDetector, tinySample } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";
import * as schemas from "./schemas/admin.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let server: TinyServer;
let first: Buffer;
let second: Buffer;

beforeAll(async () => {
  server = await tinyServer({ tokens: scopeTokens });
  const { description } = server.model.engine;
  first = Buffer.from(markDetector(description));
  second = Buffer.from(markDetector(description, { threshold: 7 }));
});
afterAll(() => server.close());

const tiny = "/models/tiny";
const call = (method: Method, path: string, options?: Options) => callAdmin(server, method, path, options);
const upload = (bundle: Buffer) => call("POST", `${tiny}/detectors`, { body: bundle });

describe("administration", () => {
  it("stores a bundle once, and tells what the self-test saw", async () => {
    const created = await done(schemas.uploaded, upload(first), 201);
    expect(created.report).toEqual({ ran: true, samples: 4, flagged: 0, identical: 4 });
    expect(await done(schemas.uploaded, upload(first))).toEqual(created);
    const { detectors } = await done(schemas.detectorList, call("GET", `${tiny}/detectors`));
    expect(detectors).toMatchObject([{ id: created.id, size: first.length, role: null }]);
    const described = await done(schemas.detectorDescription, call("GET", `${tiny}/detectors/${created.id}`));
    expect(described.metadata).toMatchObject({ format: 1, features: "value" });
    const content = await call("GET", `${tiny}/detectors/${created.id}/content`);
    expect(content.headers["content-type"]).toBe("application/octet-stream");
    expect(content.rawPayload.equals(first)).toBe(true);
  });

  it("activates, rolls back and counts revisions, and every answer names its detector", async () => {
    const [a, b] = [
      await done(schemas.uploaded, upload(first)),
      await done(schemas.uploaded, upload(second), 201),
    ];
    const predict = async (): Promise<unknown> => {
      const answer = await server.app.inject({
        method: "POST",
        url: "/predict",
        payload: { instances: [tinySample({ 3: 6 })] },
      });
      return [answer.headers["x-atpatch-detector"], answer.headers["x-atpatch-triggered"]];
    };
    const activate = (detector: string | null) =>
      call("PUT", `${tiny}/active`, { body: { detector, reason: "test" } });
    expect(await done(schemas.snapshot, activate(a.id))).toMatchObject({
      active: a.id,
      previous: null,
      revision: 1,
    });
    expect(await predict()).toEqual([a.id, "1/1"]);
    expect(await done(schemas.snapshot, activate(b.id))).toMatchObject({
      active: b.id,
      previous: a.id,
      revision: 2,
    });
    expect(await predict()).toEqual([b.id, "0/1"]);
    const back = call("POST", `${tiny}/rollback`, { body: { reason: "too lax" } });
    expect(await done(schemas.snapshot, back)).toMatchObject({ active: a.id, previous: b.id, revision: 3 });
    expect((await back).headers["etag"]).toBe('"3"');
    expect(await predict()).toEqual([a.id, "1/1"]);
    expect(await done(schemas.snapshot, activate(null))).toMatchObject({ active: null, revision: 4 });
    expect(await predict()).toEqual(["none", "0/1"]);
    // A rollback without a body.
    expect(await done(schemas.snapshot, call("POST", `${tiny}/rollback`))).toMatchObject({
      active: a.id,
      revision: 5,
    });

    const { entries } = await done(schemas.history, call("GET", `${tiny}/history?limit=3`));
    expect(entries.map(({ action, actor }) => `${actor} ${action}`)).toEqual([
      "admin rolled_back",
      "admin activated",
      "admin rolled_back",
    ]);
    expect(entries[2]).toMatchObject({
      reason: "too lax",
      before: { active: b.id },
      after: { active: a.id },
    });
    const older = await done(
      schemas.history,
      call("GET", `${tiny}/history?before=${entries[2]!.sequence}&limit=1`),
    );
    expect(older.entries).toMatchObject([{ action: "activated", detector: b.id }]);
  });

  it("lets one of two racing activations win", async () => {
    const { revision, active } = await done(schemas.modelState, call("GET", tiny));
    const { detectors } = await done(schemas.detectorList, call("GET", `${tiny}/detectors`));
    const race = detectors.map(({ id }) =>
      call("PUT", `${tiny}/active`, {
        body: { detector: id === active ? null : id },
        headers: { "if-match": `"${revision}"` },
      }),
    );
    const statuses = (await Promise.all(race)).map((answer) => answer.statusCode);
    expect(statuses.toSorted((a, b) => a - b)).toEqual([200, 412]);
    const late = call("PUT", `${tiny}/active`, {
      body: { detector: null },
      headers: { "if-match": `"${revision}"` },
    });
    expect(await refused(late, 412, "ATPATCH_REVISION_MISMATCH")).toContain(
      `revision ${revision + 1}, not ${revision}`,
    );
  });

  it("changes the policy as a whole or not at all", async () => {
    const set = (body: object) => call("PUT", `${tiny}/policy`, { body });
    expect(await done(schemas.snapshot, set({ mode: "observe", reason: "look first" }))).toMatchObject({
      policy: { mode: "observe", onError: "open" },
    });
    expect(await refused(set({ mode: "off", onError: "never" }), 400, "ATPATCH_BAD_INPUT")).toContain(
      "onError",
    );
    expect(await refused(set({ mood: "off" }), 400, "ATPATCH_BAD_INPUT")).toContain("mood");
    const state = await done(schemas.modelState, call("GET", tiny));
    expect(state.policy.mode).toBe("observe");
    await done(schemas.snapshot, set({ mode: "enforce" }));
  });

  it("keeps detectors that are in use and forgets others", async () => {
    const { id } = await done(schemas.uploaded, upload(first));
    await done(schemas.snapshot, call("PUT", `${tiny}/active`, { body: { detector: id } }));
    await refused(call("DELETE", `${tiny}/detectors/${id}`), 409, "ATPATCH_CONFLICT");
    await done(schemas.snapshot, call("PUT", `${tiny}/active`, { body: { detector: null } }));
    expect((await call("DELETE", `${tiny}/detectors/${id}`)).statusCode).toBe(204);
    await refused(call("GET", `${tiny}/detectors/${id}`), 404, "ATPATCH_UNKNOWN_DETECTOR");
    await refused(call("DELETE", `${tiny}/detectors/${id}`), 404, "ATPATCH_UNKNOWN_DETECTOR");
  });

  it("refuses what is no detector of this model and stores nothing of it", async () => {
    const before = (await call("GET", `${tiny}/detectors`)).body;
    const other = { ...server.model.engine.description, fingerprint: `sha256-${"0".repeat(64)}` };
    const nan = Buffer.from(first);
    nan.writeFloatLE(NaN, nan.length - 4);
    expect(await refused(upload(Buffer.from(markDetector(other))), 422, "ATPATCH_BUNDLE_MISMATCH")).toContain(
      "made for the model",
    );
    await refused(upload(first.subarray(0, first.length - 10)), 400, "ATPATCH_BAD_BUNDLE");
    await refused(upload(nan), 400, "ATPATCH_BAD_BUNDLE");
    await refused(upload(Buffer.from("hello")), 400, "ATPATCH_BAD_BUNDLE");
    await refused(upload(Buffer.alloc(0)), 400, "ATPATCH_BAD_INPUT");
    await refused(upload(Buffer.alloc(100_000)), 413, "ATPATCH_TOO_LARGE");
    await refused(call("POST", `${tiny}/detectors`, { body: { a: 1 } }), 415, "ATPATCH_UNSUPPORTED_MEDIA");
    expect((await call("GET", `${tiny}/detectors`)).body).toBe(before);
  });

  it.each([
    ["an unknown model", "GET", "/models/none", undefined, {}, 404, "ATPATCH_UNKNOWN_MODEL"],
    [
      "an unknown detector",
      "PUT",
      `${tiny}/active`,
      { detector: `sha256-${"1".repeat(64)}` },
      {},
      404,
      "ATPATCH_UNKNOWN_DETECTOR",
    ],
    [
      "an id that is none",
      "PUT",
      `${tiny}/active`,
      { detector: "../../etc" },
      {},
      404,
      "ATPATCH_UNKNOWN_DETECTOR",
    ],
    ["no detector field", "PUT", `${tiny}/active`, {}, {}, 400, "ATPATCH_BAD_INPUT"],
    ["a number as detector", "PUT", `${tiny}/active`, { detector: 1 }, {}, 400, "ATPATCH_BAD_INPUT"],
    [
      "a malformed if-match",
      "PUT",
      `${tiny}/active`,
      { detector: null },
      { "if-match": "seven" },
      400,
      "ATPATCH_BAD_INPUT",
    ],
    ["a limit of 0", "GET", `${tiny}/history?limit=0`, undefined, {}, 400, "ATPATCH_BAD_INPUT"],
    ["an unknown query", "GET", `${tiny}/history?from=0`, undefined, {}, 400, "ATPATCH_BAD_INPUT"],
    ["an unknown path", "GET", "/nothing", undefined, {}, 404, "ATPATCH_NOT_FOUND"],
  ] as const)("answers %s with %s", async (_what, method, path, body, headers, status, code) => {
    await refused(call(method, path, { ...(body && { body }), headers }), status, code);
  });
});
