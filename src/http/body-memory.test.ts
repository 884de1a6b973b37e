/** Bodies that together would fill the memory. */
import { request, type ClientRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { tinySample } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const mebibyte = 2 ** 20;

let server: TinyServer;
let port: number;
beforeEach(async () => {
  server = await tinyServer({ bodyLimit: mebibyte, bodyMemory: mebibyte });
  await server.app.listen({ host: "127.0.0.1", port: 0 });
  port = (server.app.server.address() as AddressInfo).port;
});
afterEach(() => server.close());

/** A request that can be answered, with so many bytes of white space in its body. */
function body(length: number): Buffer {
  const json = JSON.stringify({ instances: [tinySample()] });
  return Buffer.from(json + " ".repeat(length - json.length));
}

interface Asked {
  readonly asked: ClientRequest;
  readonly answer: Promise<{ status: number | undefined; wait: string | undefined; said: string }>;
}

function open(headers: Record<string, string | number> = {}): Asked {
  const all = { "content-type": "application/json", ...headers };
  const asked = request({ port, path: "/predict", method: "POST", agent: false, headers: all });
  const answer = new Promise<Awaited<Asked["answer"]>>((resolve, reject) => {
    asked.on("error", reject);
    asked.on("response", (response) => {
      const { statusCode: status, headers: got } = response;
      text(response).then((said) => resolve({ status, wait: got["retry-after"], said }), reject);
    });
  });
  return { asked, answer };
}

it("refuses what would go over the limit, and takes it once there is room again", async () => {
  const large = body(700_000);
  const slow = open({ "content-length": large.length });
  slow.asked.write(large.subarray(0, 600_000));
  await pause(100);

  const refused = open({ "content-length": large.length });
  refused.asked.end(large);
  expect(await refused.answer).toMatchObject({ status: 429, wait: "1" });
  expect((await refused.answer).said).toContain("ATPATCH_QUEUE_FULL");
  // Small ones are served all the time.
  const little = open();
  little.asked.end(body(200));
  expect((await little.answer).status).toBe(200);

  slow.asked.end(large.subarray(600_000));
  expect((await slow.answer).status).toBe(200);
  const again = open({ "content-length": large.length });
  again.asked.end(large);
  expect((await again.answer).status).toBe(200);
});

it("counts what comes out of compression, and forgets what was hung up on", async () => {
  const slow = open({ "content-length": 900_000 });
  slow.answer.catch(() => {});
  slow.asked.write(body(600_000));
  await pause(100);
  const packed = gzipSync(body(700_000));
  const send = (): Asked["answer"] => {
    const { asked, answer } = open({ "content-encoding": "gzip", "content-length": packed.length });
    asked.end(packed);
    return answer;
  };
  expect(packed.length).toBeLessThan(10_000);
  expect((await send()).status).toBe(429);
  slow.asked.destroy();
  await pause(100);
  expect((await send()).status).toBe(200);
});
