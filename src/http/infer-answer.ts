/** Answers to requests for inference over HTTP: JSON, and behind it the tensors that are wanted as binary data. */
import { setImmediate as turn } from "node:timers/promises";
import { answerParameters, type InferAnswer } from "../service/infer.ts";
import { AtPatchError } from "../shared/errors.ts";
import { bytesElements, writeRaw } from "../shared/raw-tensor.ts";
import type { AnyTensor, Tensor } from "../shared/tensor.ts";
import { floatText } from "./float-text.ts";

/** An encoded answer. */
export interface EncodedAnswer {
  /** The body in pieces. */
  readonly pieces: readonly Uint8Array[];
  /** Bytes of JSON when binary data follows it, else null. */
  readonly jsonLength: number | null;
}

/** Elements written as text at a time, about 3 ms; then whoever waits has a turn. */
const slice = 16_384;

/**
 * @param isBinary which outputs go behind the JSON
 * @throws AtPatchError ATPATCH_UNPROCESSABLE when JSON cannot carry a datatype or a value (NaN, infinity)
 */
export async function encodeAnswer(
  answer: InferAnswer,
  id: string | undefined,
  isBinary: (output: string) => boolean,
): Promise<EncodedAnswer> {
  const json: Uint8Array[] = [];
  const tail: Uint8Array[] = [];
  const write = (text: string): void => void json.push(Buffer.from(text));
  // Everything up to the closing brace, then the outputs.
  write(`${JSON.stringify(headOf(answer, id)).slice(0, -1)},"outputs":[`);
  for (const [index, { name, tensor }] of answer.outputs.entries()) {
    const { shape, datatype } = tensor;
    const output = { name, shape, datatype };
    const comma = index === 0 ? "" : ",";
    if (isBinary(name)) {
      const bytes = writeRaw(tensor);
      tail.push(bytes);
      write(comma + JSON.stringify({ ...output, parameters: { binary_data_size: bytes.length } }));
    } else {
      write(`${comma}${JSON.stringify(output).slice(0, -1)},"data":[`);
      for await (const piece of elementTexts(name, tensor)) json.push(piece);
      write("]}");
    }
  }
  write("]}");
  const jsonLength = tail.length > 0 ? json.reduce((sum, { length }) => sum + length, 0) : null;
  return { pieces: [...json, ...tail], jsonLength };
}

function headOf(answer: InferAnswer, id: string | undefined): object {
  return {
    model_name: answer.model,
    model_version: answer.version,
    ...(id !== undefined && { id }),
    parameters: answerParameters(answer),
  };
}

/** The elements of a tensor as JSON, separated by commas, in pieces. */
async function* elementTexts(name: string, tensor: AnyTensor): AsyncGenerator<Uint8Array> {
  if (tensor.datatype === "BYTES") {
    yield Buffer.from(
      bytesElements(tensor)
        .map((bytes) => JSON.stringify(textOf(name, bytes)))
        .join(","),
    );
    return;
  }
  if (tensor.datatype === "FP16" || tensor.datatype === "BF16") {
    throw refusal(name, `is ${tensor.datatype}, which has no JSON form`);
  }
  for (let start = 0; start < tensor.data.length; start += slice) {
    if (start > 0) {
      await turn();
      yield Buffer.from(",");
    }
    yield sliceText(name, tensor, start, Math.min(start + slice, tensor.data.length));
  }
}

function sliceText(name: string, { datatype, data }: Tensor, start: number, end: number): Uint8Array {
  if (datatype === "FP32" || datatype === "FP64") {
    const values = data as Float32Array | Float64Array;
    for (let at = start; at < end; at += 1) {
      if (!Number.isFinite(values[at])) {
        throw refusal(name, `holds ${values[at]} at position ${at}, which JSON cannot carry`);
      }
    }
    if (values instanceof Float32Array) return floatText(values, start, end);
  }
  const part = data.subarray(start, end);
  if (datatype === "BOOL") return Buffer.from(Array.from(part as Uint8Array, Boolean).join(","));
  if (datatype === "FP64") return Buffer.from(Array.from(part as Float64Array, signed).join(","));
  return Buffer.from(part.join(","));
}

/** Readers that tell whole numbers apart have no -0 among them. */
function signed(value: number): string {
  return Object.is(value, -0) ? "-0.0" : String(value);
}

function textOf(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw refusal(name, "holds bytes that are no UTF-8 text, which JSON cannot carry");
  }
}

function refusal(name: string, why: string): AtPatchError {
  const what = `output "${name}" ${why}: ask for binary data (binary_data of the output, or binary_data_output)`;
  return new AtPatchError("ATPATCH_UNPROCESSABLE", what);
}
