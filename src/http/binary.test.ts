/** The binary extension over HTTP, and what a body must not hold. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { Value } from "typebox/value";
import { mutilation } from "../test/mutilation.ts";
import { tinySample } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";
import { inferAnswer } from "./schemas/oip.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let server: TinyServer;
beforeAll(async () => {
  server = await tinyServer({ bodyLimit: 2 ** 20 });
});
afterAll(() => server.close());

const marked = tinySample({ 3: 8 });
const bytesOf = (...samples: number[][][]): Buffer => Buffer.from(Float32Array.from(samples.flat(2)).buffer);
const x = { name: "x", shape: [1, 5, 4], datatype: "FP32" };
const url = "/v2/models/tiny/infer";
const octets = { "content-type": "application/octet-stream" };

interface Sent {
  readonly json?: unknown;
  readonly tail?: Buffer;
  readonly headers?: Record<string, string>;
}

function send({ json, tail = Buffer.alloc(0), headers = {} }: Sent) {
  const text = Buffer.from(json === undefined ? "" : JSON.stringify(json));
  const length = { "inference-header-content-length": String(text.length) };
  return server.app.inject({
    method: "POST",
    url,
    headers: { ...octets, ...(json !== undefined && length), ...headers },
    payload: Buffer.concat([text, tail]),
  });
}

/** The JSON of an answer and what follows it. */
function parts(answer: Awaited<ReturnType<typeof send>>): { json: unknown; tail: Buffer } {
  expect(answer.statusCode, answer.body).toBe(200);
  const length = Number(answer.headers["inference-header-content-length"] ?? answer.rawPayload.length);
  const json: unknown = JSON.parse(answer.rawPayload.toString("utf8", 0, length));
  expect(Value.Errors(inferAnswer, json)).toEqual([]);
  return { json, tail: answer.rawPayload.subarray(length) };
}

const binaryX = { ...x, parameters: { binary_data_size: 80 } };

describe("binary data", () => {
  it("is answered in JSON unless it is asked for, by output or for all", async () => {
    const plain = await send({ json: { inputs: [binaryX] }, tail: bytesOf(marked) });
    expect(plain.headers["content-type"]).toBe("application/json; charset=utf-8");
    expect(plain.headers).not.toHaveProperty("inference-header-content-length");
    const data = (parts(plain).json as { outputs: { data: number[] }[] }).outputs[0]!.data;

    for (const rest of [
      { parameters: { binary_data_output: true } },
      { outputs: [{ name: "logits", parameters: { binary_data: true } }] },
      {
        parameters: { binary_data_output: false },
        outputs: [{ name: "logits", parameters: { binary_data: true } }],
      },
    ]) {
      const answer = await send({ json: { inputs: [binaryX], ...rest }, tail: bytesOf(marked) });
      expect(answer.headers["content-type"]).toBe("application/octet-stream");
      const { json, tail } = parts(answer);
      expect(json).toMatchObject({ outputs: [{ name: "logits", parameters: { binary_data_size: 12 } }] });
      expect((json as { outputs: object[] }).outputs[0]).not.toHaveProperty("data");
      expect([...new Float32Array(new Uint8Array(tail).buffer)]).toEqual([...Float32Array.from(data)]);
    }
    const single = await send({
      json: {
        parameters: { binary_data_output: true },
        inputs: [binaryX],
        outputs: [{ name: "logits", parameters: { binary_data: false } }],
      },
      tail: bytesOf(marked),
    });
    expect(single.headers["content-type"]).toContain("json");
  });

  it.each([
    ["no header", {}],
    ["a header of 0", { "inference-header-content-length": "0" }],
    [
      "a header of 0 and no content type of its own",
      { "inference-header-content-length": "0", "content-type": "application/json" },
    ],
  ])("is a raw request with %s", async (_what, headers) => {
    for (const samples of [[marked], [marked, tinySample()]]) {
      const { json, tail } = parts(await send({ tail: bytesOf(...samples), headers }));
      expect(json).toMatchObject({
        outputs: [
          {
            name: "logits",
            shape: [samples.length, 3],
            parameters: { binary_data_size: 12 * samples.length },
          },
        ],
      });
      expect(tail).toHaveLength(12 * samples.length);
    }
  });

  it("is told from JSON that comes as octets", async () => {
    const json = Buffer.from(JSON.stringify({ inputs: [{ ...x, data: marked.flat() }] }));
    const { tail } = parts(await send({ tail: json }));
    expect(tail).toHaveLength(0);
  });

  // prettier-ignore
  const wrong: [string, Sent, number, string | RegExp][] = [
    ["a header that is no number", { json: {}, headers: { "inference-header-content-length": "2x" } }, 400, /expected a whole number up to the 2 bytes of the body, got "2x"/],
    ["a negative header", { json: {}, headers: { "inference-header-content-length": "-1" } }, 400, /got "-1"/],
    ["a header beyond the body", { json: {}, headers: { "inference-header-content-length": "3" } }, 400, /got "3"/],
    ["a huge header", { json: {}, headers: { "inference-header-content-length": "99999999999999999999" } }, 400, /got "9999/],
    ["a header that cuts the JSON", { json: { inputs: [binaryX] }, tail: bytesOf(marked), headers: { "inference-header-content-length": "10" } }, 400, /^the body is not JSON/],
    ["a header that reaches into the tensor", { json: { inputs: [binaryX] }, tail: bytesOf(marked), headers: { "inference-header-content-length": "100" } }, 400, /^the body is not JSON/],
    ["a truncated tensor", { json: { inputs: [binaryX] }, tail: bytesOf(marked).subarray(0, 79) }, 400, "inputs[0].parameters.binary_data_size: is 80, but 79 bytes are left in the body"],
    ["bytes behind the tensors", { json: { inputs: [binaryX] }, tail: Buffer.concat([bytesOf(marked), Buffer.alloc(3)]) }, 400, "the body: 3 bytes are left after the tensors that the JSON names"],
    ["bytes nobody names", { json: { inputs: [{ ...x, data: marked.flat() }] }, tail: Buffer.alloc(1) }, 400, "the body: 1 bytes are left after the tensors that the JSON names"],
    ["a size that is not the shape's", { json: { inputs: [{ ...x, parameters: { binary_data_size: 40 } }] }, tail: Buffer.alloc(40) }, 400, "inputs[0]: FP32 of shape [1, 5, 4] needs 80 bytes, got 40"],
    ["a negative size", { json: { inputs: [{ ...x, parameters: { binary_data_size: -80 } }] }, tail: bytesOf(marked) }, 400, "inputs[0].parameters.binary_data_size: expected a whole number from 0"],
    ["a size of 2 GiB", { json: { inputs: [{ ...x, shape: [1, 536_870_912], parameters: { binary_data_size: 2 ** 31 } }] }, tail: bytesOf(marked) }, 400, "inputs[0].parameters.binary_data_size: is 2147483648, but 80 bytes are left in the body"],
    ["a shape of 2 GiB", { json: { inputs: [{ ...x, shape: [1, 536_870_912], parameters: { binary_data_size: 80 } }] }, tail: bytesOf(marked) }, 400, "inputs[0]: FP32 of shape [1, 536870912] needs 2147483648 bytes, got 80"],
    ["a shape that overflows", { json: { inputs: [{ ...x, shape: [2 ** 52, 2 ** 52], parameters: { binary_data_size: 80 } }] }, tail: bytesOf(marked) }, 400, /^inputs\[0\]\.shape: .* is too large$/],
    ["a text for a size", { json: { inputs: [{ ...x, parameters: { binary_data_size: "80" } }] }, tail: bytesOf(marked) }, 400, "inputs[0].parameters.binary_data_size: expected a whole number from 0"],
    ["data in both places", { json: { inputs: [{ ...binaryX, data: marked.flat() }] }, tail: bytesOf(marked) }, 400, "inputs[0]: data and binary_data_size are there, expected one"],
    ["no data", { json: { inputs: [x] } }, 400, "inputs[0].data: the field is missing"],
    ["BOOL that is none", { json: { inputs: [{ ...x, datatype: "BOOL", shape: [2], parameters: { binary_data_size: 2 } }] }, tail: Buffer.from([1, 2]) }, 400, "inputs[0]: BOOL takes bytes 0 and 1, got 2 at position 1"],
    ["BYTES that end early", { json: { inputs: [{ ...x, datatype: "BYTES", shape: [1], parameters: { binary_data_size: 6 } }] }, tail: Buffer.from([9, 0, 0, 0, 1, 2]) }, 400, "inputs[0]: element 0 of BYTES is said to have 9 bytes, 2 are left"],
    ["BYTES of 4 GiB", { json: { inputs: [{ ...x, datatype: "BYTES", shape: [1], parameters: { binary_data_size: 4 } }] }, tail: Buffer.alloc(4, 255) }, 400, "inputs[0]: element 0 of BYTES is said to have 4294967295 bytes, 0 are left"],
    ["too few BYTES", { json: { inputs: [{ ...x, datatype: "BYTES", shape: [2], parameters: { binary_data_size: 5 } }] }, tail: Buffer.from([1, 0, 0, 0, 7]) }, 400, "inputs[0]: the shape needs 2 elements of BYTES, got 1"],
    ["too many BYTES", { json: { inputs: [{ ...x, datatype: "BYTES", shape: [1], parameters: { binary_data_size: 8 } }] }, tail: Buffer.alloc(8) }, 400, "inputs[0]: the shape needs 1 elements of BYTES, got more"],
    ["BYTES with a rest", { json: { inputs: [{ ...x, datatype: "BYTES", shape: [1], parameters: { binary_data_size: 7 } }] }, tail: Buffer.from([1, 0, 0, 0, 7, 0, 0]) }, 400, "inputs[0]: the shape needs 1 elements of BYTES, got 2 bytes after them"],
    ["BYTES of no use", { json: { inputs: [{ ...x, datatype: "BYTES", shape: [1], parameters: { binary_data_size: 5 } }] }, tail: Buffer.from([1, 0, 0, 0, 7]) }, 422, 'inputs: input "x" takes FP32 [any, 5, 4], got BYTES [1]'],
    ["a raw request of another size", { tail: Buffer.alloc(81) }, 400, "inputs[0]: FP32 of shape [1, 5, 4] needs 80 bytes, got 81"],
    ["an empty raw request", { tail: Buffer.alloc(0) }, 400, "inputs: expected 1 to 8 samples, got 0"],
    ["a wish that is none", { json: { inputs: [{ ...x, data: marked.flat() }], parameters: { binary_data_output: 1 } } }, 400, "parameters.binary_data_output: expected true or false"],
  ];
  it.each(wrong)("refuses %s", async (_what, sent, status, error) => {
    const answer = await send(sent);
    const body = answer.json<{ error: string }>();
    expect(answer.statusCode, answer.body).toBe(status);
    if (typeof error === "string") expect(body.error).toBe(error);
    else expect(body.error).toMatch(error);
    parts(await send({ tail: bytesOf(marked) }));
  });
});

it("has an answer for every mutilated body", async () => {
  const json = Buffer.from(JSON.stringify({ inputs: [binaryX], parameters: { binary_data_output: true } }));
  const whole = Buffer.concat([json, bytesOf(marked)]);
  await fc.assert(
    fc.asyncProperty(mutilation(whole.length), fc.integer({ min: -2, max: 2 }), async (change, shift) => {
      const headers = { ...octets, "inference-header-content-length": String(json.length + shift) };
      const answer = await server.app.inject({ method: "POST", url, headers, payload: change(whole) });
      expect([200, 400, 413, 422], answer.body).toContain(answer.statusCode);
    }),
    { numRuns: 200 },
  );
});

it.each(["[],", "{},", '"",', '"":1,'])(
  "refuses JSON of hundreds of thousands of %s before it parses it",
  async (part) => {
    const payload = `{"inputs": [${part.repeat(Math.floor((2 ** 20 - 40) / part.length))}0]}`;
    const headers = { "content-type": "application/json" };
    const answer = await server.app.inject({ method: "POST", url, headers, payload });
    const { code, error } = answer.json<{ code: string; error: string }>();
    expect([answer.statusCode, code]).toEqual([413, "ATPATCH_TOO_LARGE"]);
    expect(error).toMatch(/^the body holds more than 262144 of the character ./);
  },
);

it("survives JSON that is nested as deep as the body is long", async () => {
  const data = (deep: number): string => "[".repeat(deep) + "]".repeat(deep);
  for (const payload of [
    data(8000),
    `{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": ${data(7000)}}]}`,
  ]) {
    const headers = { "content-type": "application/json" };
    const answer = await server.app.inject({ method: "POST", url, headers, payload });
    expect([answer.statusCode, answer.json<{ code: string }>().code]).toEqual([400, "ATPATCH_BAD_INPUT"]);
  }
});
