/** What somebody without a token, or with the wrong one, gets to see and to do. */
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { sha256 } from "../shared/digest.ts";
import { adminEntry } from "../service/tokens.ts";
import { tinySample } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";
import { buildApp } from "./app.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const token = "right-token-Zq81kk";
let server: TinyServer;
beforeAll(async () => {
  server = await tinyServer({ tokens: [adminEntry("root", token)], openOverride: false, failedTokens: 5 });
});
afterAll(() => server.close());

const ask = (bearer: string | null, from: string, url = "/admin/models") =>
  server.app.inject({
    url,
    remoteAddress: from,
    ...(bearer !== null && { headers: { authorization: `Bearer ${bearer}` } }),
  });

it("turns an address away that guesses tokens, right ones included, and no other address", async () => {
  for (let guess = 0; guess < 5; guess += 1)
    expect((await ask(`guess-${guess}`, "10.0.0.1")).statusCode).toBe(401);
  for (const bearer of ["guess-5", token]) {
    const answer = await ask(bearer, "10.0.0.1");
    expect([answer.statusCode, answer.json<{ code: string }>().code]).toEqual([429, "ATPATCH_RATE_LIMITED"]);
    expect(Number(answer.headers["retry-after"])).toBeGreaterThan(0);
  }
  expect((await ask(token, "10.0.0.2")).statusCode).toBe(200);
  // Who sends no token guesses none.
  expect((await ask(null, "10.0.0.1", "/v2/models/tiny")).statusCode).toBe(200);
  expect((await ask(null, "10.0.0.1")).statusCode).toBe(401);
  const predict = await server.app.inject({
    method: "POST",
    url: "/predict",
    remoteAddress: "10.0.0.1",
    payload: { instances: [tinySample()] },
  });
  expect(predict.statusCode).toBe(200);
});

it("keeps tokens and their digests out of logs, events, errors and metrics", async () => {
  const wrong = "wrong-token-8fJ2";
  const seen: string[] = [];
  const { stop } = server.services.events.subscribe((event) => seen.push(JSON.stringify(event)));
  const authorization = `Bearer ${token}`;
  const calls = [
    { method: "PUT", url: "/admin/models/tiny/policy", payload: { mode: "observe", reason: "quiet" } },
    { method: "PUT", url: "/admin/models/tiny/policy", payload: { mode: "loud" } },
    {
      method: "POST",
      url: "/admin/models/tiny/detectors",
      payload: "no bundle",
      headers: { "content-type": "application/octet-stream" },
    },
    { method: "POST", url: "/predict", payload: { instances: [tinySample()], parameters: { mode: "off" } } },
    { method: "GET", url: "/admin/models/tiny/history" },
    { method: "GET", url: "/admin/nothing" },
  ] as const;
  for (const call of calls) {
    for (const [as, remoteAddress] of [
      [authorization, "10.0.0.3"],
      [`Bearer ${wrong}`, "10.0.0.4"],
    ] as const) {
      const headers = { ...("headers" in call ? call.headers : {}), authorization: as };
      seen.push((await server.app.inject({ ...call, headers, remoteAddress })).body);
    }
  }
  seen.push((await server.app.inject("/metrics")).body, ...server.log);
  stop();
  expect(seen.length).toBeGreaterThan(20);
  for (const secret of [token, wrong, sha256(token), sha256(wrong), "10.0.0.4"]) {
    expect(seen.filter((text) => text.includes(secret))).toEqual([]);
  }
});

it("serves neither admin interface nor console where an admin listener of its own does", async () => {
  const options = { version: "0.0.0", bodyLimit: 1024 };
  const [open, admin] = [
    await buildApp(server.services, { ...options, admin: false }),
    await buildApp(server.services, options),
  ];
  const headers = { authorization: `Bearer ${token}` };
  const statuses = async (app: typeof open): Promise<number[]> =>
    Promise.all(
      [
        ["GET", "/admin/models"],
        ["GET", "/admin/events"],
        ["POST", "/v2/repository/index"],
        ["GET", "/v2/models/tiny"],
        ["GET", "/metrics"],
      ].map(async ([method, url]) => {
        if (url === "/admin/events" && app === admin) return 200;
        return (
          await app.inject({
            method: method as "GET",
            url: url!,
            headers,
            ...(method === "POST" && { payload: {} }),
          })
        ).statusCode;
      }),
    );
  expect(await statuses(open)).toEqual([404, 404, 404, 200, 200]);
  expect(await statuses(admin)).toEqual([200, 200, 200, 200, 200]);
  expect((await open.inject("/console")).statusCode).toBe(404);
  await Promise.all([open.close(), admin.close()]);
});
