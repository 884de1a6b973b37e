import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TSchema } from "typebox";
import { Value } from "typebox/value";
import { markDetector, tinySample } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";
import { adminEntry, scopes, type Scope, type TokenEntry } from "../service/tokens.ts";
import * as schemas from "./schemas/admin.ts";

let server: TinyServer;
let first: Buffer;
let second: Buffer;
const token = (scope: string): string => `token-for-${scope}`;
/** One token per scope; only `admin` has them all. */
const tokens: TokenEntry[] = scopes.map((scope) => ({
  ...adminEntry(scope, token(scope)),
  scopes: new Set<Scope>([scope]),
}));

beforeAll(async () => {
  server = await tinyServer({ tokens, openOverride: false });
  const { description } = server.model.engine;
  first = Buffer.from(markDetector(description));
  second = Buffer.from(markDetector(description, { threshold: 7 }));
});
afterAll(() => server.close());

type Method = "GET" | "POST" | "PUT" | "DELETE";
interface Options {
  readonly body?: object | Buffer;
  readonly as?: string | null;
  readonly headers?: Record<string, string>;
}

function call(method: Method, path: string, { body, as = "admin", headers = {} }: Options = {}) {
  return server.app.inject({
    method,
    url: `/admin${path}`,
    headers: {
      ...(as !== null && { authorization: `Bearer ${token(as)}` }),
      ...(Buffer.isBuffer(body) && { "content-type": "application/octet-stream" }),
      ...headers,
    },
    ...(body !== undefined && { payload: body }),
  });
}

/** The body of a 200 or 201, checked against its schema. */
async function done<T extends TSchema>(schema: T, answer: ReturnType<typeof call>, status = 200) {
  const { statusCode, body } = await answer;
  expect(statusCode, body).toBe(status);
  const value: unknown = JSON.parse(body);
  expect(Value.Errors(schema, value)).toEqual([]);
  return Value.Parse(schema, value);
}

async function refused(answer: ReturnType<typeof call>, status: number, code: string): Promise<string> {
  const { statusCode, body } = await answer;
  const failure = JSON.parse(body) as { error: string; code: string };
  expect({ status: statusCode, code: failure.code }, body).toEqual({ status, code });
  return failure.error;
}

const tiny = "/models/tiny";
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

describe("tokens", () => {
  const routes: [Method, string, Scope, object | Buffer | undefined][] = [
    ["GET", "/models", "read", undefined],
    ["GET", tiny, "read", undefined],
    ["GET", `${tiny}/detectors`, "read", undefined],
    ["GET", `${tiny}/detectors/x`, "read", undefined],
    ["GET", `${tiny}/detectors/x/content`, "read", undefined],
    ["GET", `${tiny}/history`, "read", undefined],
    ["POST", `${tiny}/detectors`, "detectors:write", Buffer.from("x")],
    ["DELETE", `${tiny}/detectors/x`, "detectors:write", undefined],
    ["PUT", `${tiny}/active`, "detectors:write", { detector: null }],
    ["POST", `${tiny}/rollback`, "detectors:write", {}],
    ["PUT", `${tiny}/policy`, "policy:write", { mode: "enforce" }],
  ];

  it("covers every admin route but the event stream", () => {
    const described = Object.entries(server.app.swagger().paths ?? {}).flatMap(([path, methods]) =>
      path.startsWith("/admin")
        ? Object.keys(methods as object).map((method) => `${method.toUpperCase()} ${path}`)
        : [],
    );
    expect(described.filter((route) => route !== "GET /admin/events")).toHaveLength(routes.length);
  });

  it.each(routes)("%s %s needs the scope %s", async (method, path, scope, body) => {
    const options = { ...(body && { body }) };
    const as = async (who: string | null) => (await call(method, path, { ...options, as: who })).statusCode;
    expect(await as(null)).toBe(401);
    expect(await as("stranger")).toBe(401);
    for (const held of scopes.filter((other) => other !== scope && other !== "admin"))
      expect(await as(held)).toBe(403);
    for (const held of [scope, "admin"]) expect([401, 403]).not.toContain(await as(held));
  });

  it("tells a client without a token how to send one", async () => {
    const answer = await call("GET", "/models", { as: null });
    expect(answer.headers["www-authenticate"]).toBe('Bearer realm="atpatch"');
    expect(answer.json()).toEqual({
      error: "a bearer token is needed (authorization: Bearer <token>)",
      code: "ATPATCH_UNAUTHENTICATED",
    });
  });

  it("asks for predict:override before it weakens the mode, and only then", async () => {
    const predict = (mode: string, as: string | null, url = "/predict") =>
      server.app.inject({
        method: "POST",
        url,
        ...(as !== null && { headers: { authorization: `Bearer ${token(as)}` } }),
        payload:
          url === "/predict"
            ? { instances: [tinySample()], parameters: { mode } }
            : {
                inputs: [{ name: "x", datatype: "FP32", shape: [1, 5, 4], data: tinySample().flat() }],
                parameters: { atpatch_mode: mode },
              },
      });
    for (const url of ["/predict", "/v2/models/tiny/infer"]) {
      expect((await predict("off", null, url)).statusCode).toBe(401);
      expect((await predict("observe", "read", url)).statusCode).toBe(403);
      expect((await predict("off", "predict:override", url)).statusCode).toBe(200);
      expect((await predict("off", "admin", url)).statusCode).toBe(200);
      expect((await predict("enforce", null, url)).statusCode).toBe(200);
    }
  });
});
