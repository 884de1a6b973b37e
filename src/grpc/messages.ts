/** The messages of inference, as the descriptions declare them and the loader reads them. */
import type { Datatype } from "../shared/tensor.ts";

/** A 64-bit integer as two halves. */
export interface Long {
  readonly low: number;
  readonly high: number;
  toNumber(): number;
}

/** One of several; the loader names which in `parameter_choice`. */
export interface ParameterMessage {
  readonly parameter_choice?: string;
  readonly bool_param?: boolean;
  readonly int64_param?: Long | number;
  readonly string_param?: string;
  readonly double_param?: number;
  readonly uint64_param?: Long | number;
  readonly bytes_param?: Buffer;
}

export type ParameterMessages = Readonly<Record<string, ParameterMessage>>;

/** Elements of a tensor by the kind of its datatype; the other lists are empty. */
export interface ContentsMessage {
  readonly bool_contents?: readonly boolean[];
  readonly int_contents?: readonly number[];
  readonly int64_contents?: readonly Long[];
  readonly uint_contents?: readonly number[];
  readonly uint64_contents?: readonly Long[];
  readonly fp32_contents?: readonly number[];
  readonly fp64_contents?: readonly number[];
  readonly bytes_contents?: readonly Buffer[];
}

export type ContentsField = keyof ContentsMessage;

/** Where the elements of a datatype are; half precision has no place. */
export const contentsField: Readonly<Record<Datatype, ContentsField | null>> = {
  BOOL: "bool_contents",
  INT8: "int_contents",
  INT16: "int_contents",
  INT32: "int_contents",
  INT64: "int64_contents",
  UINT8: "uint_contents",
  UINT16: "uint_contents",
  UINT32: "uint_contents",
  UINT64: "uint64_contents",
  FP16: null,
  BF16: null,
  FP32: "fp32_contents",
  FP64: "fp64_contents",
  BYTES: "bytes_contents",
};

export interface InputMessage {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly Long[];
  readonly parameters: ParameterMessages;
  readonly contents: ContentsMessage | null;
}

export interface InferRequestMessage {
  readonly model_name: string;
  readonly model_version: string;
  readonly id: string;
  readonly parameters: ParameterMessages;
  readonly inputs: readonly InputMessage[];
  readonly outputs: readonly { readonly name: string; readonly parameters: ParameterMessages }[];
  readonly raw_input_contents: readonly Buffer[];
}

export interface InferResponseMessage {
  readonly model_name: string;
  readonly model_version: string;
  readonly id: string;
  readonly parameters: ParameterMessages;
  readonly outputs: readonly object[];
  readonly raw_output_contents: readonly Uint8Array[];
}
