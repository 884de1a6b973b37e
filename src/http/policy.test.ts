/** Shadow, canary and guard as operators use them: through the admin interface, under real traffic. */
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import {
  callAdmin,
  done,
  refused,
  scopeTokens,
  scopeToken,
  type Method,
  type Options,
} from "../test/admin-client.ts";
import { markDetector, tinySample } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";
import * as schemas from "./schemas/admin.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let server: TinyServer;
/** Flag marks from 5, from 7, and everything. */
let strict: string, lax: string, wild: string;
const tiny = "/models/tiny";
const call = (method: Method, path: string, options?: Options) => callAdmin(server, method, path, options);
const policy = (body: object) => done(schemas.snapshot, call("PUT", `${tiny}/policy`, { body }));
const activate = (detector: string | null) =>
  done(schemas.snapshot, call("PUT", `${tiny}/active`, { body: { detector } }));
const state = () => done(schemas.modelState, call("GET", tiny));

/** The detector that answered, and whether it triggered. */
async function predict(
  mark: number,
  headers: Record<string, string> = {},
): Promise<[detector: string, triggered: boolean]> {
  const answer = await server.app.inject({
    method: "POST",
    url: "/predict",
    headers,
    payload: { instances: [tinySample({ 3: mark })] },
  });
  expect(answer.statusCode, answer.body).toBe(200);
  const body = answer.json<{ atpatch: { detector: string | null } }>();
  const detector = body.atpatch.detector ?? "none";
  expect(answer.headers["x-atpatch-detector"]).toBe(detector);
  return [detector, answer.headers["x-atpatch-triggered"] === "1/1"];
}

async function metric(name: string, labels: string): Promise<number> {
  const { body } = await server.app.inject("/metrics");
  const line = body.split("\n").find((candidate) => candidate.startsWith(`${name}{${labels}}`));
  return Number(line?.split(" ").at(-1) ?? 0);
}

beforeAll(async () => {
  server = await tinyServer({ tokens: scopeTokens, settings: { queue: 64 } });
  const bundles = [5, 7, -1].map((threshold) => markDetector(server.model.engine.description, { threshold }));
  [strict, lax, wild] = (await Promise.all(
    bundles.map(async (bundle) => (await server.model.registry.upload(bundle, { actor: "test" })).id),
  )) as [string, string, string];
});
afterAll(() => server.close());
beforeEach(async () => {
  await activate(strict);
  await policy({ mode: "enforce", shadow: null, canary: null, guard: null });
});

describe("a shadow", () => {
  it("is scored on every answer of the active detector, and its table says where they differ", async () => {
    await policy({ shadow: lax });
    for (const mark of [6, 6, 8, 0, 0, 0]) await predict(mark);
    await vi.waitFor(async () => expect((await state()).shadow?.samples).toBe(6));
    expect((await state()).shadow).toMatchObject({
      detector: lax,
      dropped: 0,
      agreement: { both: 1, active: 2, shadow: 0, neither: 3 },
    });
    const table = await Promise.all(
      ["11", "10", "01", "00"].map(([active, shadow]) =>
        metric("atpatch_shadow_samples_total", `model="tiny",active="${active}",shadow="${shadow}"`),
      ),
    );
    expect(table).toEqual([1, 2, 0, 3]);
    expect(
      await metric("atpatch_detector_info", `model="tiny",detector="${lax.slice(7, 19)}",role="shadow"`),
    ).toBe(1);
    await policy({ shadow: wild });
    expect((await state()).shadow).toMatchObject({ detector: wild, samples: 0 });
    await policy({ shadow: null });
    expect((await state()).shadow).toBeNull();
  });

  it("works without an active detector and when the policy only observes, and leaves out weaker requests", async () => {
    await activate(null);
    await policy({ shadow: strict, mode: "observe" });
    await predict(6);
    await server.app.inject({
      method: "POST",
      url: "/predict",
      payload: { instances: [tinySample({ 3: 6 })], parameters: { mode: "off" } },
    });
    await predict(0);
    await vi.waitFor(async () => expect((await state()).shadow?.samples).toBe(2));
    expect((await state()).shadow?.agreement).toEqual({ both: 0, active: 0, shadow: 1, neither: 1 });
  });
});

describe("a canary", () => {
  it("gets its share of the requests, always the same one for the same client", async () => {
    await policy({ canary: { detector: lax, percent: 50 } });
    const clients = Array.from({ length: 40 }, (_, index) => ({ "x-atpatch-client": `client-${index}` }));
    const once = async () => Promise.all(clients.map((headers) => predict(6, headers)));
    const first = await once();
    // A mark of 6 is flagged by the active detector alone: the name says who really answered.
    for (const [detector, triggered] of first) expect(triggered).toBe(detector === strict);
    const drawn = first.filter(([detector]) => detector === lax).length;
    expect(drawn).toBeGreaterThan(6);
    expect(drawn).toBeLessThan(34);
    expect(await once()).toEqual(first);
    const byToken = async () => predict(6, { authorization: `Bearer ${scopeToken("read")}` });
    expect((await byToken())[0]).toBe((await byToken())[0]);
    const { counters } = await state();
    expect(counters.detectors.find(({ detector }) => detector === lax)?.samples).toBeGreaterThanOrEqual(
      2 * drawn,
    );
    const samples = (id: string) =>
      metric("atpatch_samples_total", `model="tiny",detector="${id.slice(7, 19)}",mode="enforce"`);
    expect(await samples(lax)).toBeGreaterThanOrEqual(2 * drawn);
    expect(await samples(strict)).toBeGreaterThan(0);
  });

  it("may have everything or nothing, and keeps its detector from being removed", async () => {
    await policy({ canary: { detector: lax, percent: 100 } });
    expect((await predict(6))[0]).toBe(lax);
    await policy({ canary: { detector: lax, percent: 0 } });
    expect((await predict(6))[0]).toBe(strict);
    const message = await refused(call("DELETE", `${tiny}/detectors/${lax}`), 409, "ATPATCH_CONFLICT");
    expect(message).toContain("is the canary");
    const { detectors } = await done(schemas.detectorList, call("GET", `${tiny}/detectors`));
    expect(detectors.find(({ id }) => id === lax)?.roles).toContain("canary");
  });
});

describe("a guard", () => {
  it("rolls back a detector that flags everything", async () => {
    await policy({ guard: { window_s: 30, max_trigger_rate: 0.5 } });
    await activate(wild);
    for (let sent = 0; sent < 10; sent += 1) await predict(0);
    await vi.waitFor(async () => expect((await state()).active).toBe(strict));
    const { entries } = await done(schemas.history, call("GET", `${tiny}/history?limit=1`));
    expect(entries).toMatchObject([
      { action: "rolled_back", actor: "guard", reason: expect.stringContaining("100.0 % of 10") },
    ]);
    expect(await metric("atpatch_guard_rollbacks_total", 'model="tiny",reason="trigger_rate"')).toBe(1);
    expect((await state()).guard?.armed).toBe(false);
  });

  it("runs repaired samples once more without the patch to see whether their label flips", async () => {
    await policy({ guard: { window_s: 30, max_label_flip_rate: 0.3, min_samples: 3 } });
    await activate(lax);
    // The label of a sample with a mark of 8 is wild; the repair takes that away.
    await vi.waitFor(
      async () => {
        await predict(8);
        expect((await state()).active).toBe(strict);
      },
      { timeout: 20_000 },
    );
    expect(await metric("atpatch_guard_rollbacks_total", 'model="tiny",reason="label_flip_rate"')).toBe(1);
  });
});

describe("a policy", () => {
  it("is refused as a whole when a detector is not stored", async () => {
    const missing = `sha256-${"0".repeat(64)}`;
    const before = await state();
    const body = { mode: "off", shadow: missing };
    const message = await refused(call("PUT", `${tiny}/policy`, { body }), 404, "ATPATCH_UNKNOWN_DETECTOR");
    expect(message).toContain("policy.shadow: ");
    const canary = { canary: { detector: strict, percent: 200 }, guard: { window_s: 1 } };
    const faults = await refused(call("PUT", `${tiny}/policy`, { body: canary }), 400, "ATPATCH_BAD_INPUT");
    expect(faults).toMatch(/policy.canary: expected .*; policy.guard: expected /);
    expect((await state()).revision).toBe(before.revision);
  });
});
