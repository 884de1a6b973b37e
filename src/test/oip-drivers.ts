/** One form of inference for every encoding of the Open Inference Protocol: what a test says once is sent in each. */
import type { AddressInfo } from "node:net";
import { valuesOf } from "../grpc/infer-request.ts";
import type { ParameterMessages } from "../grpc/messages.ts";
import { parseExactly } from "../http/exact-integers.ts";
import { decodeTensor } from "../http/tensor-json.ts";
import type { Parameters } from "../service/infer-parameters.ts";
import { bytesElements, bytesTensor, readRaw, writeRaw } from "../shared/raw-tensor.ts";
import { datatypes, type AnyTensor, type Datatype, type TypedArray } from "../shared/tensor.ts";
import { createGrpcClient, type GrpcClient } from "./grpc-client.ts";
import type { TinyServer } from "./tiny-server.ts";

export interface PlainTensor {
  readonly name: string;
  readonly tensor: AnyTensor;
}

export interface PlainRequest {
  readonly model?: string;
  readonly version?: string;
  readonly id?: string;
  readonly parameters?: Parameters;
  readonly inputs: readonly PlainTensor[];
  readonly outputs?: readonly {
    readonly name: string;
    /** Float32 when absent. */
    readonly datatype?: string;
    readonly parameters?: Parameters;
  }[];
}

export interface PlainAnswer {
  /** "OK", or the code of the failure. */
  readonly code: string;
  readonly error?: string;
  readonly model?: string;
  readonly version?: string;
  readonly id?: string | undefined;
  readonly parameters?: Parameters;
  readonly outputs?: readonly PlainTensor[];
  /** Headers or metadata, in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Sends requests in one encoding. */
export interface OipDriver {
  readonly name: string;
  infer(request: PlainRequest): Promise<PlainAnswer>;
  close(): void;
}

/** A driver of every encoding; both front ends of the server must listen on free ports of the loopback address. */
export async function createDrivers(server: TinyServer, grpcPort: number): Promise<OipDriver[]> {
  const { port } = server.app.server.address() as AddressInfo;
  const origin = `http://127.0.0.1:${port}`;
  const client = await createGrpcClient(grpcPort);
  return [
    restDriver(origin, "REST with JSON", (datatype) => datatype === "FP16"),
    restDriver(origin, "REST with binary data", () => true),
    restDriver(origin, "REST with both", (datatype, index) => datatype === "FP16" || index % 2 === 1),
    grpcDriver(client, "gRPC with raw contents", true),
    grpcDriver(client, "gRPC with typed contents", false),
  ];
}

/**
 * A driver of REST.
 * @param isBinary which inputs, and which outputs wanted, go as binary data; the others as JSON
 */
export function restDriver(
  origin: string,
  name: string,
  isBinary: (datatype: string, index: number) => boolean,
): OipDriver {
  return {
    name,
    close: () => {},
    infer: async ({ model = "tiny", version, inputs, outputs, parameters, id }) => {
      const tail: Uint8Array[] = [];
      const json = textOf({
        id,
        parameters: { ...parameters, binary_data_output: isBinary("FP32", 0) },
        inputs: inputs.map(({ name: input, tensor }, index) => {
          const { datatype, shape } = tensor;
          if (!isBinary(datatype, index)) return { name: input, datatype, shape, data: jsonData(tensor) };
          const bytes = writeRaw(tensor);
          tail.push(bytes);
          return { name: input, datatype, shape, parameters: { binary_data_size: bytes.length } };
        }),
        outputs: outputs?.map((output, index) => ({
          name: output.name,
          parameters: { ...output.parameters, binary_data: isBinary(output.datatype ?? "FP32", index) },
        })),
      });
      const path = `/v2/models/${model}${version === undefined ? "" : `/versions/${version}`}/infer`;
      const binary = {
        "content-type": "application/octet-stream",
        "inference-header-content-length": String(json.length),
      };
      const response = await fetch(origin + path, {
        method: "POST",
        headers: tail.length > 0 ? binary : { "content-type": "application/json" },
        body: Buffer.concat([json, ...tail]),
      });
      return readRest(response);
    },
  };
}

/** JSON in which whole numbers of any size, and negative zeros, are written as they are. */
function textOf(value: object): Buffer {
  const text = JSON.stringify(value, (_key, member: unknown) => {
    if (Object.is(member, -0)) return "number:-0.0";
    return typeof member === "bigint" ? `number:${member}` : member;
  });
  return Buffer.from(text.replaceAll(/"number:([-.\d]+)"/g, "$1"));
}

function jsonData(tensor: AnyTensor): unknown[] {
  if (tensor.datatype === "BYTES") return bytesElements(tensor).map((bytes) => Buffer.from(bytes).toString());
  const elements = Array.from(tensor.data as Iterable<number | bigint>);
  return tensor.datatype === "BOOL" ? elements.map(Boolean) : elements;
}

interface JsonAnswer {
  readonly error: string;
  readonly code: string;
  readonly model_name: string;
  readonly model_version: string;
  readonly id?: string;
  readonly parameters: Parameters;
  readonly outputs: readonly {
    readonly name: string;
    readonly datatype: Datatype;
    readonly shape: readonly number[];
    readonly parameters?: { readonly binary_data_size: number };
    readonly data?: readonly unknown[];
  }[];
}

async function readRest(response: Response): Promise<PlainAnswer> {
  const headers = Object.fromEntries(response.headers);
  const body = Buffer.from(await response.arrayBuffer());
  const length = Number(headers["inference-header-content-length"] ?? body.length);
  const text = body.toString("utf8", 0, length);
  const json = JSON.parse(text) as JsonAnswer;
  if (!response.ok) return { code: json.code, error: json.error, headers };
  const exact = parseExactly(text) as JsonAnswer;
  let at = length;
  const outputs = json.outputs.map(({ name, datatype, shape, parameters, data }, index): PlainTensor => {
    const size = parameters?.binary_data_size;
    if (size === undefined) {
      const again = () => exact.outputs[index]!.data!;
      return { name, tensor: decodeTensor(name, { datatype, shape, data: data! }, again) };
    }
    at += size;
    return { name, tensor: readRaw(name, datatype, shape, body.subarray(at - size, at)) };
  });
  if (at !== body.length) throw new Error(`${body.length - at} bytes are left in the answer`);
  const { model_name: model, model_version: version, id, parameters } = json;
  return { code: "OK", model, version, id, parameters, outputs, headers };
}

function grpcDriver(client: GrpcClient, name: string, raw: boolean): OipDriver {
  return {
    name,
    close: () => client.close(),
    infer: async ({ model = "tiny", version = "", inputs, outputs = [], parameters = {}, id = "" }) => {
      const { code, error, answer, headers } = await client.call("ModelInfer", {
        model_name: model,
        model_version: version,
        id,
        parameters: parameterMessages(parameters),
        inputs: inputs.map(({ name: input, tensor }) => ({
          name: input,
          datatype: tensor.datatype,
          shape: tensor.shape,
          ...(!raw && { contents: { [contentsField[tensor.datatype]!]: elementsOf(tensor) } }),
        })),
        outputs: outputs.map((output) => ({
          name: output.name,
          parameters: parameterMessages(output.parameters ?? {}),
        })),
        raw_input_contents: raw ? inputs.map(({ tensor }) => writeRaw(tensor)) : [],
      });
      if (error !== undefined) return { code, error, headers };
      const message = answer as unknown as OfficialResponse;
      return {
        code,
        model: message.model_name,
        version: message.model_version,
        id: message.id === "" ? undefined : message.id,
        parameters: valuesOf(message.parameters),
        outputs: message.outputs.map(({ name: output, datatype, shape, contents }, index) => {
          const bytes = message.raw_output_contents[index];
          const dims = shape.map(Number);
          if (bytes !== undefined) return { name: output, tensor: readRaw(output, datatype, dims, bytes) };
          const elements = contents![contentsField[datatype]!]!;
          return { name: output, tensor: tensorOf(datatype, dims, elements) };
        }),
        headers,
      };
    },
  };
}

/** 64-bit integers are objects that can be written as text. */
type Elements = readonly (number | boolean | { toString(): string })[];

/** An answer as the official description has it. */
interface OfficialResponse {
  readonly model_name: string;
  readonly model_version: string;
  readonly id: string;
  readonly parameters: ParameterMessages;
  readonly outputs: readonly {
    readonly name: string;
    readonly datatype: Datatype;
    readonly shape: readonly unknown[];
    readonly contents: Readonly<Record<string, Elements>> | null;
  }[];
  readonly raw_output_contents: readonly Buffer[];
}

/** The field of a datatype's elements. */
const contentsField: Readonly<Partial<Record<Datatype, string>>> = {
  BOOL: "bool_contents",
  INT8: "int_contents",
  INT16: "int_contents",
  INT32: "int_contents",
  INT64: "int64_contents",
  UINT8: "uint_contents",
  UINT16: "uint_contents",
  UINT32: "uint_contents",
  UINT64: "uint64_contents",
  FP32: "fp32_contents",
  FP64: "fp64_contents",
  BYTES: "bytes_contents",
};

function tensorOf(datatype: Datatype, shape: readonly number[], elements: Elements): AnyTensor {
  if (datatype === "BYTES") return bytesTensor(shape, elements as readonly Buffer[]);
  const data: TypedArray = new datatypes[datatype](elements.length);
  for (const [at, element] of elements.entries()) {
    data[at] = typeof element === "object" ? BigInt(element.toString()) : Number(element);
  }
  return { datatype, shape, data };
}

function parameterMessages(parameters: Parameters): object {
  const kinds = { string: "string_param", number: "int64_param", boolean: "bool_param" } as const;
  return Object.fromEntries(
    Object.entries(parameters).map(([name, value]) => [
      name,
      { [kinds[typeof value as keyof typeof kinds]]: value },
    ]),
  );
}

function elementsOf(tensor: AnyTensor): unknown {
  if (tensor.datatype === "BYTES") return bytesElements(tensor);
  // The loader takes 64-bit integers as text.
  return Array.from(tensor.data as Iterable<number | bigint>, (value) =>
    typeof value === "bigint" ? String(value) : value,
  );
}
