import { connect, type AddressInfo, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { tinySample } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";

const times = { headers: 400, request: 1_200 };

let server: TinyServer;
let port: number;
beforeAll(async () => {
  server = await tinyServer({ times });
  await server.app.listen({ host: "127.0.0.1", port: 0 });
  port = (server.app.server.address() as AddressInfo).port;
});
afterAll(() => server.close());

/** What a client gets that sends `text`, then a byte from time to time; and after how long, in ms. */
async function drip(text: string): Promise<{ answer: string; ms: number }> {
  const began = performance.now();
  const socket: Socket = connect(port, "127.0.0.1");
  let answer = "";
  socket.on("data", (chunk) => (answer += chunk.toString()));
  socket.on("error", () => {});
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.write(text);
  const dripping = setInterval(() => socket.write("a"), 50);
  await closed;
  clearInterval(dripping);
  return { answer, ms: performance.now() - began };
}

it.each([
  ["headers", "POST /predict HTTP/1.1\r\nhost: a\r\nx-slow: ", times.headers],
  [
    "a body",
    'POST /predict HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n{"',
    times.request,
  ],
])(
  "hangs up on clients that send %s too slowly, and serves the others meanwhile",
  async (_what, text, limit) => {
    const slow = Array.from({ length: 20 }, () => drip(text));
    await sleep(50);
    const answer = await fetch(`http://127.0.0.1:${port}/predict`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ instances: [tinySample()] }),
    });
    expect(answer.status).toBe(200);
    for (const { answer: told, ms } of await Promise.all(slow)) {
      expect(told).toMatch(/^HTTP\/1\.1 408 /);
      expect(told).toContain('"code":"ATPATCH_');
      expect(ms).toBeGreaterThan(limit - 50);
      expect(ms).toBeLessThan(limit + 3_000);
    }
  },
);
