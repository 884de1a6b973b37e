/** The repository verbs over HTTP. */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { Value } from "typebox/value";
import { scopeToken, scopeTokens } from "../test/admin-client.ts";
import { markDetector } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";
import { repositoryIndex } from "./schemas/oip.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let server: TinyServer;
let detector: string;
beforeAll(async () => {
  server = await tinyServer({ tokens: scopeTokens });
  const { registry, engine } = server.model;
  detector = (await registry.upload(markDetector(engine.description), { actor: "test" })).id;
  await registry.activate(detector, { actor: "test" });
});
afterAll(() => server.close());

describe("the repository verbs", () => {
  const call = (path: string, as: string | null, payload?: object | string) =>
    server.app.inject({
      method: "POST",
      url: `/v2/repository${path}`,
      headers: {
        ...(as !== null && { authorization: `Bearer ${scopeToken(as)}` }),
        ...(payload !== undefined && { "content-type": "application/json" }),
      },
      ...(payload !== undefined && { payload }),
    });
  const index = async (payload?: object | string) => {
    const answer = await call("/index", "read", payload);
    expect(answer.statusCode, answer.body).toBe(200);
    return Value.Parse(repositoryIndex, answer.json());
  };
  const entry = () => ({ name: "tiny", version: detector, state: "READY", reason: "" });

  it("list, activate and deactivate detectors, with and without a body", async () => {
    expect(await index()).toEqual([entry()]);
    expect(await index("")).toEqual([entry()]);
    const unloaded = await call("/models/tiny/unload", "detectors:write");
    expect(unloaded.json()).toMatchObject({ name: "tiny", detector: null });
    expect(await index({ ready: true })).toEqual([]);
    expect(await index({})).toEqual([{ ...entry(), state: "UNAVAILABLE", reason: "not active" }]);

    for (const parameters of [undefined, { detector }, { config: JSON.stringify({ detector }) }]) {
      const loaded = await call("/models/tiny/load", "detectors:write", {
        ...(parameters && { parameters }),
      });
      expect(loaded.json(), loaded.body).toMatchObject({ name: "tiny", detector });
    }
    const bundle = Buffer.from(markDetector(server.model.engine.description, { threshold: 6 }));
    const file = { "file:1/marks.safetensors": bundle.toString("base64") };
    const loaded = await call("/models/tiny/load", "detectors:write", {
      parameters: { config: "{}", ...file },
    });
    expect(loaded.statusCode, loaded.body).toBe(200);
    expect(await index({ ready: true })).toMatchObject([
      { version: loaded.json<{ detector: string }>().detector },
    ]);
    const { entries } = (
      await server.app.inject({
        url: "/admin/models/tiny/history",
        headers: { authorization: `Bearer ${scopeToken("read")}` },
      })
    ).json<{ entries: object[] }>();
    expect(entries[0]).toMatchObject({ actor: "detectors:write", reason: "repository load" });
  });

  it.each([
    ["/index", null, undefined, 401, "ATPATCH_UNAUTHENTICATED"],
    ["/index", "read", { ready: "yes" }, 400, "ATPATCH_BAD_INPUT"],
    ["/models/tiny/load", "read", undefined, 403, "ATPATCH_FORBIDDEN"],
    ["/models/tiny/unload", null, undefined, 401, "ATPATCH_UNAUTHENTICATED"],
    ["/models/none/load", "admin", undefined, 404, "ATPATCH_UNKNOWN_MODEL"],
    ["/models/none/unload", "admin", undefined, 404, "ATPATCH_UNKNOWN_MODEL"],
    [
      "/models/tiny/load",
      "admin",
      { parameters: { detector: `sha256-${"0".repeat(64)}` } },
      404,
      "ATPATCH_UNKNOWN_DETECTOR",
    ],
    ["/models/tiny/load", "admin", { parameters: { detector: 7 } }, 400, "ATPATCH_BAD_INPUT"],
    ["/models/tiny/load", "admin", { parameters: { config: "{" } }, 400, "ATPATCH_BAD_INPUT"],
    ["/models/tiny/load", "admin", { parameters: { speed: 1 } }, 400, "ATPATCH_BAD_INPUT"],
    ["/models/tiny/load", "admin", { parameters: { "file:a": "%" } }, 400, "ATPATCH_BAD_INPUT"],
    ["/models/tiny/load", "admin", { parameters: { "file:a": "AAAA" } }, 400, "ATPATCH_BAD_BUNDLE"],
    [
      "/models/tiny/load",
      "admin",
      { parameters: { "file:a": "AAAA", "file:b": "AAAA" } },
      400,
      "ATPATCH_BAD_INPUT",
    ],
    [
      "/models/tiny/load",
      "admin",
      { parameters: { "file:a": "AAAA", detector: "x" } },
      400,
      "ATPATCH_BAD_INPUT",
    ],
  ])("refuse %s as %s with %j", async (path, as, payload, status, code) => {
    const answer = await call(path, as, payload);
    expect([answer.statusCode, answer.json<{ code: string }>().code]).toEqual([status, code]);
  });
});
