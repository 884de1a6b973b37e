/** Calls over HTTP: JSON of a server's own, or JSON and binary data of the Open Inference Protocol. */
import { LoadGenerator, type LoadTarget } from "../load-generator.ts";
import { writeRaw } from "../../shared/raw-tensor.ts";
import type { Tensor } from "../../shared/tensor.ts";
import type { Call } from "./call.ts";
import type { Form } from "./lineup.ts";
import type { Question } from "./question.ts";

type HttpForm = Exclude<Form, "grpc">;

/** Where JSON of the server's own is sent. */
const ownPaths: Partial<Readonly<Record<HttpForm, string>>> = { plain: "/predict", async: "/predict-async" };

/** What a request is made of. */
type Asked = Pick<Question, "model" | "inputs">;

interface Message {
  readonly path: string;
  readonly body: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}

/** A request as load generators send it. */
export function httpRequest(
  form: HttpForm,
  port: number,
  question: Asked,
): Message & { readonly target: LoadTarget } {
  const message = write(form, question);
  const headers = { ...message.headers, "content-length": String(message.body.length) };
  return { ...message, target: { host: "127.0.0.1", port, path: message.path, method: "POST", headers } };
}

export function createHttpCall(form: HttpForm, port: number, question: Question): Call {
  const { path, body, headers, target } = httpRequest(form, port, question);
  let generator: LoadGenerator | undefined;
  return {
    good: "200",
    async once() {
      const url = `http://127.0.0.1:${port}${path}`;
      const response = await fetch(url, { method: "POST", headers, body: Uint8Array.from(body) });
      const bytes = Buffer.from(await response.arrayBuffer());
      if (!response.ok) throw new Error(`status ${response.status}: ${bytes.toString().slice(0, 200)}`);
      return readScores(form, question.output, bytes, response.headers);
    },
    load(connections, seconds) {
      generator ??= new LoadGenerator();
      return generator.run({ target, body, connections, seconds });
    },
    end: async () => generator?.end(),
  };
}

function write(form: HttpForm, { model, inputs }: Asked): Message {
  const json = { "content-type": "application/json" };
  const tensors = Object.entries(inputs);
  const path = ownPaths[form] ?? `/v2/models/${model}/infer`;
  const text = (body: object): Uint8Array => Buffer.from(JSON.stringify(body));
  if (ownPaths[form]) {
    const nested: Record<string, unknown> = {};
    for (const [name, { shape, data }] of tensors) nested[name] = nest(Array.from(data, Number), shape);
    return { path, headers: json, body: text({ inputs: nested }) };
  }
  const inputOf = ([name, { datatype, shape }]: [string, Tensor], rest: object): object => ({
    name,
    datatype,
    shape,
    ...rest,
  });
  if (form === "json") {
    const list = tensors.map((entry) => inputOf(entry, { data: Array.from(entry[1].data, Number) }));
    return { path, headers: json, body: text({ inputs: list }) };
  }
  const raw = tensors.map(([, tensor]) => writeRaw(tensor));
  const list = tensors.map((entry, index) =>
    inputOf(entry, { parameters: { binary_data_size: raw[index]!.length } }),
  );
  const head = text({ inputs: list, parameters: { binary_data_output: true } });
  const headers = {
    "content-type": "application/octet-stream",
    "inference-header-content-length": String(head.length),
  };
  return { path, headers, body: Buffer.concat([head, ...raw]) };
}

/** A flat list as lists in lists. */
function nest(values: readonly number[], shape: readonly number[]): unknown[] {
  const [count = 0, ...rest] = shape;
  if (rest.length === 0) return [...values];
  const size = values.length / count;
  return Array.from({ length: count }, (_, i) => nest(values.slice(i * size, (i + 1) * size), rest));
}

function readScores(form: HttpForm, output: string, bytes: Buffer, headers: Headers): number[] {
  const head = headers.get("inference-header-content-length");
  const header = JSON.parse(bytes.subarray(0, head === null ? undefined : Number(head)).toString()) as {
    outputs: unknown;
  };
  if (ownPaths[form]) return ((header.outputs as Record<string, number[][]>)[output] ?? []).flat();
  const outputs = header.outputs as {
    name: string;
    data?: number[];
    parameters?: { binary_data_size?: number };
  }[];
  if (form === "binary" && head === null) throw new Error("the answer is not binary");
  let offset = Number(head ?? 0);
  for (const { name, data, parameters } of outputs) {
    const size = parameters?.binary_data_size ?? 0;
    if (name === output) return data ?? floats(bytes.subarray(offset, offset + size));
    offset += size;
  }
  throw new Error(`the answer has no "${output}"`);
}

/** Little-endian float32 numbers, wherever they lie. */
export function floats(bytes: Uint8Array): number[] {
  return Array.from(new Float32Array(Uint8Array.from(bytes).buffer));
}
