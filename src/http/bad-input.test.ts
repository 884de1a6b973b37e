/** Every way to send something wrong has its own answer, and the server goes on serving. */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { Value } from "typebox/value";
import { tinySample } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";
import { errorSchema } from "./schemas/common.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let server: TinyServer;
beforeAll(async () => {
  server = await tinyServer({ bodyLimit: 16 * 1024 });
});
afterAll(() => server.close());

const sample = tinySample();
const v1 = "/v1/models/tiny:predict";
const infer = "/v2/models/tiny/infer";
const x = (change: object = {}): object => ({
  name: "x",
  datatype: "FP32",
  shape: [1, 5, 4],
  data: sample.flat(),
  ...change,
});

interface Case {
  readonly what: string;
  readonly url: string;
  readonly payload?: string | object;
  readonly headers?: Record<string, string>;
  readonly method?: "GET" | "POST";
  readonly status: number;
  readonly code: string;
  readonly error: string | RegExp;
}

const badInput = { status: 400, code: "ATPATCH_BAD_INPUT" } as const;
const unprocessable = { status: 422, code: "ATPATCH_UNPROCESSABLE" } as const;
const json = { "content-type": "application/json" };

// prettier-ignore
const cases: readonly Case[] = [
  // The body as such
  { what: "a NaN", url: v1, headers: json, payload: '{"instances": [[[NaN, 1]]]}', ...badInput, error: "the body is not JSON: it holds NaN, and JSON has no such number" },
  { what: "an infinity", url: v1, headers: json, payload: '{"instances": [-Infinity]}', ...badInput, error: "the body is not JSON: it holds -Infinity, and JSON has no such number" },
  { what: "half a body", url: v1, headers: json, payload: '{"instances": [', ...badInput, error: "the body is not JSON: Unexpected end of JSON input" },
  { what: "no JSON", url: v1, headers: json, payload: "instances=secret", ...badInput, error: "the body is not JSON: Unexpected token 'i'" },
  { what: "an empty body", url: v1, headers: json, payload: "", ...badInput, error: "the body is empty, expected JSON" },
  { what: "a list as body", url: v1, payload: [], ...badInput, error: "the body: must be object" },
  { what: "a poisoned body", url: v1, headers: json, payload: '{"__proto__": {"x": 1}}', ...badInput, error: "the body is not JSON: it has the key __proto__ or constructor.prototype" },
  { what: "a body over the limit", url: v1, payload: { instances: ["x".repeat(20_000)] }, status: 413, code: "ATPATCH_TOO_LARGE", error: "the body is over the limit of 16384 bytes" },
  { what: "a form", url: v1, headers: { "content-type": "application/x-www-form-urlencoded" }, payload: "a=b", status: 415, code: "ATPATCH_UNSUPPORTED_MEDIA", error: 'content type "application/x-www-form-urlencoded" is not read here: send content-type: application/json' },
  { what: "a broken content type", url: v1, headers: { "content-type": "json" }, payload: "{}", status: 415, code: "ATPATCH_UNSUPPORTED_MEDIA", error: 'content type "json" is not read here: send content-type: application/json' },
  // Predict
  { what: "no instances", url: v1, payload: {}, ...badInput, error: "instances: the field is missing" },
  { what: "empty instances", url: v1, payload: { instances: [] }, ...badInput, error: "instances: must not have fewer than 1 items" },
  { what: "instances that are no list", url: v1, payload: { instances: "a" }, ...badInput, error: "instances: must be array" },
  { what: "an unknown parameter", url: v1, payload: { instances: [sample], parameters: { mod: "off" } }, ...badInput, error: "parameters.mod: there is no such field" },
  { what: "an unknown mode", url: v1, payload: { instances: [sample], parameters: { mode: "on" } }, ...badInput, error: "parameters.mode: expected one of off, observe, enforce" },
  { what: "a top_k of 0", url: v1, payload: { instances: [sample], parameters: { top_k: 0 } }, ...badInput, error: "parameters.top_k: must be >= 1" },
  { what: "a text for explain", url: v1, payload: { instances: [sample], parameters: { explain: "yes" } }, ...badInput, error: "parameters.explain: must be boolean" },
  { what: "a text as instance", url: v1, payload: { instances: [sample, "a"] }, ...unprocessable, error: /^instances\[1\]: / },
  { what: "a short instance", url: v1, payload: { instances: [sample, sample.slice(1)] }, ...unprocessable, error: /^instances\[1\]: / },
  { what: "a null inside an instance", url: v1, payload: { instances: [[...sample.slice(1), [null, 1, 0, 0]]] }, ...badInput, error: /^instances\[0\]\[4\]\[0\]: / },
  { what: "too many instances", url: v1, payload: { instances: Array.from({ length: 9 }, () => sample) }, ...unprocessable, error: "instances: at most 8 fit into one request, got 9" },
  { what: "too many instances to explain", url: v1, payload: { instances: Array.from({ length: 5 }, () => sample), parameters: { explain: true } }, ...unprocessable, error: "explain: at most 4 samples can be explained at once, got 5" },
  { what: "an unknown model", url: "/v1/models/none:predict", payload: { instances: [sample] }, status: 404, code: "ATPATCH_UNKNOWN_MODEL", error: 'no model "none" is served here' },
  { what: "an unknown verb", url: "/v1/models/tiny:explode", payload: {}, status: 404, code: "ATPATCH_NOT_FOUND", error: "there is no route POST /v1/models/tiny:explode" },
  { what: "a wrong method", url: v1, method: "GET", status: 404, code: "ATPATCH_UNKNOWN_MODEL", error: 'no model "tiny:predict" is served here' },
  // Infer
  { what: "no inputs", url: infer, payload: { inputs: [] }, ...badInput, error: "inputs: must not have fewer than 1 items" },
  { what: "an input without data", url: infer, payload: { inputs: [x({ data: undefined })] }, ...badInput, error: "inputs[0].data: the field is missing" },
  { what: "a negative dimension", url: infer, payload: { inputs: [x({ shape: [-1, 5, 4] })] }, ...badInput, error: "inputs[0].shape[0]: must be >= 0" },
  { what: "too few values", url: infer, payload: { inputs: [x({ data: [1] })] }, ...badInput, error: "inputs[0].data: shape [1, 5, 4] needs 20 values, got 1" },
  { what: "a text among numbers", url: infer, payload: { inputs: [x({ data: ["a", ...sample.flat().slice(1)] })] }, ...badInput, error: "inputs[0].data[0]: expected a finite number that fits FP32, got a string" },
  { what: "a ragged tensor", url: infer, payload: { inputs: [x({ data: [[...sample.slice(1), [1]]] })] }, ...badInput, error: "inputs[0].data[0][4]: dimension 2 of the shape is 4, got 1 values" },
  { what: "an unknown datatype", url: infer, payload: { inputs: [x({ datatype: "FLOAT" })] }, ...badInput, error: /^inputs\[0\]\.datatype: "FLOAT" is not one of BOOL/ },
  { what: "half precision in JSON", url: infer, payload: { inputs: [x({ datatype: "FP16" })] }, ...unprocessable, error: "inputs[0].datatype: FP16 has no JSON form, send the tensor as binary data (parameters.binary_data_size)" },
  { what: "the wrong datatype", url: infer, payload: { inputs: [x({ datatype: "INT32" })] }, ...unprocessable, error: 'inputs: input "x" takes FP32 [any, 5, 4], got INT32 [1, 5, 4]' },
  { what: "the wrong shape", url: infer, payload: { inputs: [x({ shape: [1, 4, 5] })] }, ...unprocessable, error: 'inputs: input "x" takes FP32 [any, 5, 4], got FP32 [1, 4, 5]' },
  { what: "no sample", url: infer, payload: { inputs: [x({ shape: [0, 5, 4], data: [] })] }, ...badInput, error: "inputs: expected 1 to 8 samples, got 0" },
  { what: "an unknown input", url: infer, payload: { inputs: [x({ name: "y" })] }, ...badInput, error: 'inputs: the model has no input "y", only x' },
  { what: "an input of the hot-fix", url: infer, payload: { inputs: [x(), x({ name: "atpatch.mode" })] }, ...badInput, error: 'inputs: the model has no input "atpatch.mode", only x' },
  { what: "the same input twice", url: infer, payload: { inputs: [x(), x()] }, ...badInput, error: 'inputs[1].name: "x" is there twice' },
  { what: "an unknown output", url: infer, payload: { inputs: [x()], outputs: [{ name: "z" }] }, ...badInput, error: 'outputs: the model has no output "z", only logits' },
  { what: "an unknown mode in infer", url: infer, payload: { inputs: [x()], parameters: { atpatch_mode: "on" } }, ...badInput, error: "parameters.atpatch_mode: expected one of off, observe, enforce" },
  { what: "an unknown parameter of ours", url: infer, payload: { inputs: [x()], parameters: { atpatch_speed: 1 } }, ...badInput, error: "parameters.atpatch_speed: there is no such parameter" },
  { what: "a nested parameter", url: infer, payload: { inputs: [x()], parameters: { a: {} } }, ...badInput, error: "parameters.a: expected one of string, number, boolean" },
  { what: "an unknown version", url: "/v2/models/tiny/versions/7/infer", payload: { inputs: [x()] }, status: 404, code: "ATPATCH_UNKNOWN_MODEL", error: 'model "tiny" has no version "7", only "1"' },
  { what: "an unknown model in infer", url: "/v2/models/none/infer", payload: { inputs: [x()] }, status: 404, code: "ATPATCH_UNKNOWN_MODEL", error: 'no model "none" is served here' },
  { what: "a bad escape in the path", url: "/v2/models/%E0%A4%A/infer", payload: {}, ...badInput, error: /not a valid url component/ },
];

describe("bad input", () => {
  it.each(cases)(
    "$what → $status",
    async ({ url, payload, headers, method = "POST", status, code, error }) => {
      const answer = await server.app.inject({
        method,
        url,
        ...(payload !== undefined && { payload }),
        ...(headers && { headers }),
      });
      const body = answer.json<{ error: string; code: string }>();
      expect({ status: answer.statusCode, code: body.code }, answer.body).toEqual({ status, code });
      if (typeof error === "string") expect(body.error).toBe(error);
      else expect(body.error).toMatch(error);
      expect(Value.Check(errorSchema, body)).toBe(true);
      expect(answer.headers["x-request-id"]).toBeTruthy();
      expect(answer.body).not.toMatch(/\n\s+at |\/src\/|node_modules|secret/);

      const next = await server.app.inject({ method: "POST", url: v1, payload: { instances: [sample] } });
      expect(next.statusCode).toBe(200);
    },
  );
});
