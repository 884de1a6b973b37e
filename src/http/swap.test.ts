/** Detectors are swapped while requests come in over eight connections. */
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { adminEntry } from "../service/tokens.ts";
import { markDetector, tinySample } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const swaps = 200;
const connections = 8;

let server: TinyServer;
let url: string;
let detectors: string[];

beforeAll(async () => {
  server = await tinyServer({ tokens: [adminEntry("root", "a-token")] });
  url = await server.app.listen({ port: 0 });
  const { registry, engine } = server.model;
  const bundles = [5, 7].map((threshold) => markDetector(engine.description, { threshold }));
  detectors = await Promise.all(
    bundles.map(async (bundle) => (await registry.upload(bundle, { actor: "test" })).id),
  );
  await registry.activate(detectors[0]!, { actor: "test" });
});
afterAll(() => server.close());

/** A mark of 6 is flagged by the first detector and not by the second. */
const body = JSON.stringify({ instances: [tinySample({ 3: 6 })] });

async function predict(): Promise<{ status: number; detector: string | null; triggered: string | null }> {
  const answer = await fetch(`${url}/predict`, {
    method: "POST",
    headers: { "content-type": "application/json" },
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

it("fails no request, and gives every request that starts after the 200 the new detector", async () => {
  let swapping = true;
  let answered = 0;
  const traffic = Array.from({ length: connections }, async () => {
    while (swapping) {
      const { status, detector, triggered } = await predict();
      expect(status).toBe(200);
      // What was done is what the named detector does: a request never sees half of a swap.
      expect([`${detectors[0]} 1/1`, `${detectors[1]} 0/1`]).toContain(`${detector} ${triggered}`);
      answered += 1;
    }
  });
  try {
    for (let swap = 1; swap <= swaps; swap += 1) {
      const detector = detectors[swap % 2]!;
      await activate(detector);
      expect((await predict()).detector).toBe(detector);
    }
  } finally {
    swapping = false;
  }
  await Promise.all(traffic);
  expect(answered).toBeGreaterThan(swaps);
  expect(server.model.registry.snapshot().revision).toBe(swaps + 1);
});
