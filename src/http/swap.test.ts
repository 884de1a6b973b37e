/** Detectors are swapped while requests come in over eight connections. */
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { adminEntry } from "../service/tokens.ts";
import { markDetector, tinySample } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const connections = 8;

let server: TinyServer;
let url: string;
let detectors: string[];

beforeAll(async () => {
  server = await tinyServer({ tokens: [adminEntry("root", "a-token")] });
  url = await server.app.listen({ port: 0 });
  const { registry, engine } = server.model;
  const bundles = [5, 7, 4, 3].map((threshold) => markDetector(engine.description, { threshold }));
  detectors = await Promise.all(
    bundles.map(async (bundle) => (await registry.upload(bundle, { actor: "test" })).id),
  );
  await registry.activate(detectors[0]!, { actor: "test" });
});
afterAll(() => server.close());

/** A mark of 6 is flagged by the first detector and not by the second. */
const body = JSON.stringify({ instances: [tinySample({ 3: 6 })] });

/** @param client a key by which a client keeps its detector while a canary runs */
async function predict(
  client?: string,
): Promise<{ status: number; detector: string | null; triggered: string | null }> {
  const answer = await fetch(`${url}/predict`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(client !== undefined && { "x-atpatch-client": client }),
    },
    body,
  });
  await answer.arrayBuffer();
  const header = (name: string): string | null => answer.headers.get(name);
  return {
    status: answer.status,
    detector: header("x-atpatch-detector"),
    triggered: header("x-atpatch-triggered"),
  };
}

async function activate(detector: string): Promise<void> {
  const answer = await fetch(`${url}/admin/models/tiny/active`, {
    method: "PUT",
    headers: { "content-type": "application/json", authorization: "Bearer a-token" },
    body: JSON.stringify({ detector }),
  });
  expect(answer.status).toBe(200);
  await answer.arrayBuffer();
}

/** Swaps under traffic; returns how many requests each detector has answered. */
async function swapUnderTraffic(swaps: number, client?: string): Promise<Map<string | null, number>> {
  let swapping = true;
  const answered = new Map<string | null, number>();
  const known = [`${detectors[0]} 1/1`, `${detectors[1]} 0/1`, `${detectors[2]} 1/1`];
  const traffic = Array.from({ length: connections }, async () => {
    while (swapping) {
      const { status, detector, triggered } = await predict();
      expect(status).toBe(200);
      // What was done is what the named detector does: a request never sees half of a swap.
      expect(known).toContain(`${detector} ${triggered}`);
      answered.set(detector, (answered.get(detector) ?? 0) + 1);
    }
  });
  try {
    for (let swap = 1; swap <= swaps; swap += 1) {
      const detector = detectors[swap % 2]!;
      await activate(detector);
      expect((await predict(client)).detector).toBe(detector);
    }
  } finally {
    swapping = false;
  }
  await Promise.all(traffic);
  return answered;
}

it("fails no request, and gives every request that starts after the 200 the new detector", async () => {
  const { registry } = server.model;
  const before = registry.snapshot().revision;
  const swaps = 200;
  const answered = await swapUnderTraffic(swaps);
  expect((answered.get(detectors[0]!) ?? 0) + (answered.get(detectors[1]!) ?? 0)).toBeGreaterThan(swaps);
  expect(answered.size).toBe(2);
  expect(registry.snapshot().revision).toBe(before + swaps);
});

it("does so beside a shadow and a canary", async () => {
  const { registry, watch } = server.model;
  const [canary, shadow] = detectors.slice(2) as [string, string];
  await registry.setPolicy({ shadow, canary: { detector: canary, percent: 25 } }, { actor: "test" });
  let client = "";
  for (let at = 0, found: string | null = canary; found === canary; at += 1) {
    client = `client ${at}`;
    found = (await predict(client)).detector;
  }
  const answered = await swapUnderTraffic(60, client);
  const all = [...answered.values()].reduce((sum, count) => sum + count, 0);
  expect((answered.get(canary) ?? 0) / all).toBeGreaterThan(0.15);
  expect((answered.get(canary) ?? 0) / all).toBeLessThan(0.35);
  expect(watch.shadow.state?.samples ?? 0).toBeGreaterThan(0);
});
