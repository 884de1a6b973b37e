/** Every way to send something wrong over gRPC has its own answer, and the server goes on serving. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { float32 } from "../shared/tensor.ts";
import type { GrpcClient } from "../test/grpc-client.ts";
import { mutilation } from "../test/mutilation.ts";
import { rawRequest, tinyGrpc, type TinyGrpc } from "../test/tiny-grpc.ts";
import { tinySample } from "../test/tiny-model.ts";
import { writeContents } from "./contents.ts";
import { loadDefinitions } from "./definitions.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

describe("the gRPC server", () => {
  let open: TinyGrpc;
  let client: GrpcClient;
  beforeAll(async () => {
    open = await tinyGrpc({ bodyLimit: 2 ** 21 });
    ({ client } = open);
  });
  afterAll(() => open.close());

  const x = { name: "x", datatype: "FP32", shape: [1, 5, 4] };
  const bytes = Buffer.alloc(80);
  const typedContents = writeContents(float32([20], new Float32Array(20)));
  it.each([
    [
      "half precision that is typed",
      { inputs: [{ ...x, datatype: "FP16", contents: { fp32_contents: [1] } }], raw_input_contents: [] },
      /FP16 has no typed contents, send the tensor in raw_input_contents/,
    ],
    [
      "raw and typed contents",
      { inputs: [{ ...x, contents: { fp32_contents: [1] } }] },
      /inputs\[0\]\.contents: raw_input_contents is there as well/,
    ],
    [
      "contents of another datatype",
      { inputs: [{ ...x, contents: { fp64_contents: [1] } }], raw_input_contents: [] },
      /inputs\[0\]\.contents\.fp64_contents: FP32 belongs in fp32_contents/,
    ],
    [
      "too few typed values",
      { inputs: [{ ...x, contents: { fp32_contents: [1] } }], raw_input_contents: [] },
      /shape \[1, 5, 4\] needs 20 values, got 1/,
    ],
    [
      "typed values out of range",
      {
        inputs: [{ ...x, datatype: "INT8", shape: [1], contents: { int_contents: [128] } }],
        raw_input_contents: [],
      },
      /int_contents\[0\]: expected a whole number from -128 to 127, got 128/,
    ],
    [
      "too many raw contents",
      { raw_input_contents: [bytes, bytes] },
      /expected one for each of the 1 inputs, got 2/,
    ],
    [
      "raw contents that are too short",
      { raw_input_contents: [bytes.subarray(1)] },
      /FP32 of shape \[1, 5, 4\] needs 80 bytes, got 79/,
    ],
    [
      "a negative dimension",
      { inputs: [{ ...x, shape: [-1, 5, 4] }] },
      /inputs\[0\]\.shape\[0\]: expected a whole number from 0, got -1/,
    ],
    [
      "a shape that overflows",
      { inputs: [{ ...x, shape: ["4611686018427387904", 4, 4] }] },
      /inputs\[0\]\.shape/,
    ],
    ["a shape of too many elements", { inputs: [{ ...x, shape: [65536, 65536, 4] }] }, /is too large/],
    [
      "BYTES whose length lies",
      {
        inputs: [{ ...x, datatype: "BYTES", shape: [1] }],
        raw_input_contents: [Buffer.from([255, 255, 255, 127, 1])],
      },
      /element 0 of BYTES is said to have 2147483647 bytes, 1 are left/,
    ],
    [
      "an unknown datatype",
      { inputs: [{ ...x, datatype: "FLOAT" }] },
      /inputs\[0\]\.datatype: "FLOAT" is not one of/,
    ],
  ])("refuses %s", async (_what, change, error) => {
    const answer = await client.call("ModelInfer", { ...rawRequest(), ...change });
    expect(["ATPATCH_BAD_INPUT", "ATPATCH_UNPROCESSABLE"]).toContain(answer.code);
    expect(answer.error).toMatch(error);
    expect(await client.call("ModelInfer", rawRequest())).toMatchObject({ code: "OK" });
  });

  it.each([
    [
      "ModelInfer",
      "empty inputs",
      Buffer.from([0x2a, 0]),
      "ATPATCH_TOO_LARGE",
      /names, shapes and parameters of a message take \d+ bytes/,
    ],
    ["ModelInfer", "empty raw contents", Buffer.from([0x3a, 0]), "ATPATCH_TOO_LARGE", /take \d+ bytes/],
    ["ModelInfer", "empty parameters", Buffer.from([0x22, 0]), "ATPATCH_TOO_LARGE", /take \d+ bytes/],
    [
      "RepositoryModelLoad",
      "empty parameters",
      Buffer.from([0x1a, 0]),
      "ATPATCH_TOO_LARGE",
      /take \d+ bytes/,
    ],
    [
      "ModelInfer",
      "what is no message",
      Buffer.from([0xff, 0xff]),
      "ATPATCH_BAD_INPUT",
      /the message is malformed/,
    ],
  ])("refuses %s of millions of %s before it decodes them", async (method, _what, part, code, error) => {
    const message = Buffer.concat(Array.from({ length: 700_000 }, () => part));
    const answer = await client.call(method, message);
    expect(answer).toMatchObject({ code, error: expect.stringMatching(error) as string });
  });

  it.each([
    ["contents that end early", Buffer.from([0x32, 80, 0, 0])],
    ["a number of eleven bytes", Buffer.concat([Buffer.from([0x1a, 11]), Buffer.alloc(11, 0xff)])],
  ])("refuses %s", async (_what, contents) => {
    const { inference } = await loadDefinitions();
    const [datatype, shape] = contents[0] === 0x1a ? ["INT64", [1]] : ["FP32", [20]];
    const input = { name: "x", datatype, shape, contents };
    const message = inference["ModelInfer"]!.requestSerialize({ model_name: "tiny", inputs: [input] });
    expect(await client.call("ModelInfer", message)).toMatchObject({
      code: "ATPATCH_BAD_INPUT",
      error: "inputs[0].contents: the message is malformed",
    });
  });

  it("has an answer for every mutilated message", async () => {
    const { inference } = await loadDefinitions();
    const serialize = inference["ModelInfer"]!.requestSerialize;
    for (const message of [
      serialize(rawRequest()),
      serialize({ ...rawRequest(), raw_input_contents: [], inputs: [{ ...x, contents: typedContents }] }),
    ]) {
      await fc.assert(
        fc.asyncProperty(mutilation(message.length), async (change) => {
          const { status, error } = await client.call("ModelInfer", change(message));
          expect(
            ["OK", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "UNAUTHENTICATED"],
            error,
          ).toContain(status);
        }),
        { numRuns: 120 },
      );
    }
  });

  it("refuses messages over the body limit and serves on", async () => {
    const large = await client.call(
      "ModelInfer",
      rawRequest(Array.from({ length: 27_000 }, () => tinySample())),
    );
    expect(large).toMatchObject({ status: "RESOURCE_EXHAUSTED" });
    expect(await client.call("ModelInfer", rawRequest())).toMatchObject({ code: "OK" });
  });
});
