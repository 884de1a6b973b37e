import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { scopes, type Scope } from "../service/tokens.ts";
import { callAdmin, scopeToken, scopeTokens, type Method, type Options } from "../test/admin-client.ts";
import { tinySample } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let server: TinyServer;
beforeAll(async () => {
  server = await tinyServer({ tokens: scopeTokens, openOverride: false });
  await server.app.ready();
});
afterAll(() => server.close());

const tiny = "/models/tiny";
const call = (method: Method, path: string, options?: Options) => callAdmin(server, method, path, options);

describe("tokens", () => {
  const routes: [Method, string, Scope, object | Buffer | undefined][] = [
    ["GET", "/models", "read", undefined],
    ["GET", tiny, "read", undefined],
    ["GET", `${tiny}/detectors`, "read", undefined],
    ["GET", `${tiny}/detectors/x`, "read", undefined],
    ["GET", `${tiny}/detectors/x/content`, "read", undefined],
    ["GET", `${tiny}/samples`, "read", undefined],
    ["GET", `${tiny}/history`, "read", undefined],
    ["POST", `${tiny}/detectors`, "detectors:write", Buffer.from("x")],
    ["DELETE", `${tiny}/detectors/x`, "detectors:write", undefined],
    ["PUT", `${tiny}/active`, "detectors:write", { detector: null }],
    ["POST", `${tiny}/rollback`, "detectors:write", {}],
    ["PUT", `${tiny}/policy`, "policy:write", { mode: "enforce" }],
    ["GET", `${tiny}/recordings`, "recordings:read", undefined],
    ["GET", `${tiny}/recordings/x/0`, "recordings:read", undefined],
    ["DELETE", `${tiny}/recordings`, "recordings:read", undefined],
    ["GET", `${tiny}/debugset`, "recordings:read", undefined],
    ["GET", `${tiny}/feedback`, "read", undefined],
    ["GET", `${tiny}/repairs`, "read", undefined],
    ["GET", `${tiny}/repairs/x`, "read", undefined],
    ["POST", `${tiny}/repairs`, "detectors:write", { recorder: true }],
    ["DELETE", `${tiny}/repairs/x`, "detectors:write", undefined],
    ["POST", `${tiny}/feedback`, "feedback:write", { request_id: "x" }],
    ["DELETE", `${tiny}/feedback`, "feedback:write", undefined],
    ["DELETE", `${tiny}/feedback/x/0`, "feedback:write", undefined],
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
        ...(as !== null && { headers: { authorization: `Bearer ${scopeToken(as)}` } }),
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
