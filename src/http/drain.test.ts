/** What clients with kept-alive connections see of a server that stops. */
import { once } from "node:events";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, describe, expect, it, vi } from "vitest";
import { drain } from "../serve.ts";
import { tinySample } from "../test/tiny-model.ts";
import { tinyServer } from "../test/tiny-server.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

interface Answer {
  readonly status: number | undefined;
  readonly connection: string | undefined;
  readonly body: string;
}

describe("a server that drains", () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  afterEach(() => agent.destroy());

  const send = (port: number, body: string): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const headers = { "content-type": "application/json" };
      const asked = request({ port, agent, path: "/predict", method: "POST", headers }, (response) => {
        const { statusCode: status, headers: got } = response;
        text(response).then((told) => resolve({ status, connection: got.connection, body: told }), reject);
      });
      asked.on("error", reject);
      asked.end(body);
    });
  const start = async (): Promise<{ port: number; stop: () => Promise<void> }> => {
    const server = await tinyServer();
    await server.app.listen({ port: 0 });
    const { port } = server.app.server.address() as { port: number };
    const { app, grpc, services } = server;
    const stop = (): Promise<void> =>
      drain({ app, grpc, services, close: async () => server.model.close() }, 0);
    return { port, stop };
  };
  const sample = JSON.stringify({ instances: [tinySample()] });

  it("tells an open connection that it stops, whatever is on its way there", async () => {
    const { port, stop } = await start();
    expect(await send(port, sample)).toMatchObject({ status: 200, connection: "keep-alive" });
    const stopped = stop();
    await pause(50);
    expect(await send(port, sample)).toMatchObject({ status: 503, connection: "close" });
    await stopped;
    await expect(send(port, sample)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  it("refuses a request that is half sent without a reset", async () => {
    const { port, stop } = await start();
    const socket = connect({ port, allowHalfOpen: true });
    const half = `{"instances":[],"filler":"${"x".repeat(1 << 20)}`;
    const whole = `POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: `;
    let answer = "";
    socket.setEncoding("utf8").on("data", (part) => (answer += String(part)));
    const ended = once(socket, "close");
    // The body only begins once the server is closing.
    socket.write("GET /v2/health/live HTTP/1.1\r\nhost: localhost\r\n\r\n");
    await once(socket, "data");
    const stopped = stop();
    await pause(50);
    // Like a client that reads when it has sent.
    socket.pause();
    socket.write(`${whole}${half.length + 2}\r\n\r\n${half}`);
    await pause(100);
    socket.write('"}');
    await pause(100);
    socket.on("end", () => socket.end()).resume();
    expect(await ended).toEqual([false]);
    expect(answer).toMatch(/HTTP\/1\.1 503 [^]*ATPATCH_NOT_READY/);
    await stopped;
  });

  it("takes no new connection at once, and hangs up on one that stays idle", async () => {
    const { port, stop } = await start();
    expect((await send(port, sample)).status).toBe(200);
    const began = performance.now();
    const stopped = stop();
    await pause(50);
    await expect(fetch(`http://localhost:${port}/v2/health/live`)).rejects.toThrow();
    await stopped;
    expect(performance.now() - began).toBeGreaterThan(900);
  });
});
