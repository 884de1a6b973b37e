/** Compressed bodies, both ways. */
import { request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { deflateSync, gunzipSync, gzipSync, inflateSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { tinySample } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let server: TinyServer;
beforeAll(async () => {
  server = await tinyServer({ bodyLimit: 2 ** 20 });
});
afterAll(() => server.close());

const sample = tinySample().flat();
const bytes = Buffer.from(Float32Array.from(sample).buffer);
const x = { name: "x", shape: [1, 5, 4], datatype: "FP32" };
const binaryX = { ...x, parameters: { binary_data_size: 80 } };
const url = "/v2/models/tiny/infer";

describe("compression", () => {
  const payload = Buffer.from(JSON.stringify({ inputs: [{ ...x, data: sample }] }));
  const post = (headers: Record<string, string>, body: Buffer) =>
    server.app.inject({ method: "POST", url, headers, payload: body });

  it.each([
    ["gzip", gzipSync, gunzipSync],
    ["deflate", deflateSync, inflateSync],
  ] as const)("takes and gives %s", async (encoding, pack, unpack) => {
    const taken = await post(
      { "content-type": "application/json", "content-encoding": encoding },
      pack(payload),
    );
    expect(taken.statusCode, taken.body).toBe(200);
    expect(taken.headers).not.toHaveProperty("content-encoding");
    const given = await post({ "content-type": "application/json", "accept-encoding": encoding }, payload);
    expect(given.headers["content-encoding"]).toBe(encoding);
    expect(JSON.parse(unpack(given.rawPayload).toString())).toEqual(taken.json());

    const json = Buffer.from(JSON.stringify({ inputs: [binaryX], parameters: { binary_data_output: true } }));
    const binary = await post(
      {
        "content-type": "application/octet-stream",
        "content-encoding": encoding,
        "accept-encoding": encoding,
        "inference-header-content-length": String(json.length),
      },
      pack(Buffer.concat([json, bytes])),
    );
    expect(binary.headers["content-encoding"]).toBe(encoding);
    const body = unpack(binary.rawPayload);
    const length = Number(binary.headers["inference-header-content-length"]);
    expect(JSON.parse(body.toString("utf8", 0, length))).toMatchObject({ model_name: "tiny" });
    expect(body).toHaveLength(length + 12);
  });

  it("holds the limit for what comes out, and unpacks no further", async () => {
    const member = gzipSync(Buffer.alloc(10_000_000));
    await server.app.listen({ host: "127.0.0.1", port: 0 });
    const { port } = server.app.server.address() as AddressInfo;
    // 900 MB of zeros, which take a second to unpack.
    const bomb = Buffer.concat(Array.from({ length: 90 }, () => member));
    expect(bomb.length).toBeLessThan(2 ** 20);
    const started = process.cpuUsage();
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const headers = { "content-type": "application/json", "content-encoding": "gzip" };
      const call = httpRequest({ port, path: url, method: "POST", headers }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      call.on("error", reject);
      call.end(bomb);
    });
    expect(status).toBe(413);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const { user, system } = process.cpuUsage(started);
    expect((user + system) / 1000).toBeLessThan(300);
  });

  it.each([
    [
      "what is not packed at all",
      "gzip",
      payload,
      400,
      "the body is not packed as its content-encoding says",
    ],
    [
      "what ends early",
      "gzip",
      gzipSync(payload).subarray(0, 40),
      400,
      "the body is not packed as its content-encoding says",
    ],
    [
      "another encoding",
      "br",
      payload,
      415,
      'content-encoding "br" is not read here: send gzip, deflate or none',
    ],
  ])("refuses %s", async (_what, encoding, body, status, error) => {
    const answer = await post({ "content-type": "application/json", "content-encoding": encoding }, body);
    expect([answer.statusCode, answer.json<{ error: string }>().error]).toEqual([status, error]);
  });
});
