/**
 * Bodies of requests for inference: JSON; JSON with raw tensors behind it, where `inference-header-content-length` says
 * how long the JSON is; or nothing but the raw tensor of the only input.
 */
import type { FastifyRequest } from "fastify";
import type { ServedModel } from "../service/models.ts";
import { AtPatchError } from "../shared/errors.ts";
import { checkedCount } from "../shared/raw-tensor.ts";
import { byteSize, elementCount, type TensorInfo } from "../shared/tensor.ts";
import { jsonReader } from "./body.ts";
import { checkJsonSize } from "./json-size.ts";
import type { App } from "./services.ts";

export const jsonLengthHeader = "inference-header-content-length";

/** What came beside the parsed JSON. */
export interface InferPayload {
  /** The JSON as text; empty for a raw request. */
  readonly text: string;
  /** What follows the JSON. */
  readonly tail: Buffer;
  /** There was no JSON at all. */
  readonly raw: boolean;
}

declare module "fastify" {
  interface FastifyRequest {
    inferPayload: InferPayload | null;
  }
}

/** A route scope that reads the bodies of inference. */
export function acceptTensors(app: App): void {
  const read = jsonReader(app);
  app.decorateRequest("inferPayload", null);
  app.removeContentTypeParser(["application/json", "application/octet-stream"]);
  app.addContentTypeParser<Buffer>(
    ["application/json", "application/octet-stream"],
    { parseAs: "buffer" },
    async (request: FastifyRequest, body: Buffer) => {
      const length = jsonLength(request, body);
      const text = body.toString("utf8", 0, length);
      const raw = length === 0 && !isJson(request);
      request.inferPayload = { text, tail: body.subarray(length), raw };
      return raw ? {} : read(text);
    },
  );
}

/** Bytes of JSON at the start of the body. */
function jsonLength(request: FastifyRequest, body: Buffer): number {
  const given = request.headers[jsonLengthHeader];
  if (given === undefined) {
    return isJson(request) || holdsJson(body) ? body.length : 0;
  }
  if (typeof given === "string" && /^\d{1,15}$/.test(given) && Number(given) <= body.length) {
    return Number(given);
  }
  throw new AtPatchError(
    "ATPATCH_BAD_INPUT",
    `${jsonLengthHeader}: expected a whole number up to the ${body.length} bytes of the body, got "${String(given).slice(0, 40)}"`,
  );
}

/** Whether the whole body is said to be JSON. */
function isJson({ headers }: FastifyRequest): boolean {
  return (
    headers[jsonLengthHeader] === undefined &&
    !(headers["content-type"] ?? "").startsWith("application/octet-stream")
  );
}

/** Some clients send JSON as octets without saying so. A raw tensor that is a JSON object does not come about by chance. */
function holdsJson(body: Buffer): boolean {
  if (body[0] !== 0x7b) return false;
  const text = body.toString("utf8");
  try {
    checkJsonSize(text);
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * The request that a raw body stands for: the only input, all outputs as binary data. A single dimension that varies is
 * found from the number of bytes; of two, the first is one sample.
 * @throws AtPatchError ATPATCH_BAD_INPUT when the model has another number of inputs, or more that varies
 */
export function rawRequest(model: ServedModel, bytes: number): object {
  const [input, ...others] = model.engine.description.inputs;
  if (input === undefined || others.length > 0) {
    throw refusal(
      `model "${model.name}" has ${others.length + (input ? 1 : 0)} inputs, a raw tensor can be only one`,
    );
  }
  return {
    inputs: [
      {
        name: input.name,
        datatype: input.datatype,
        shape: rawShape(input, bytes),
        parameters: { binary_data_size: bytes },
      },
    ],
    parameters: { binary_data_output: true },
  };
}

function rawShape({ name, datatype, shape }: TensorInfo, bytes: number): number[] {
  if (datatype === "BYTES") return [1];
  let varying = shape.flatMap((dim, axis) => (dim === null ? [axis] : []));
  const known = shape.map((dim) => dim ?? 1);
  if (varying.length > 1 && varying[0] === 0) varying = varying.slice(1);
  if (varying.length > 1) {
    throw refusal(
      `the shape of input "${name}" cannot be told from its bytes, more than one dimension varies`,
    );
  }
  const [axis] = varying;
  if (axis === undefined) return known;
  const row = elementCount(known) * byteSize(datatype);
  known[axis] = Math.floor(bytes / row);
  checkedCount(`the raw tensor`, known);
  return known;
}

function refusal(what: string): AtPatchError {
  return new AtPatchError(
    "ATPATCH_BAD_INPUT",
    `${what}: send a JSON header and its length in ${jsonLengthHeader}`,
  );
}
