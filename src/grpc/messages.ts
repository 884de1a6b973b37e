/** The messages of inference, as the descriptions declare them and the loader reads them. */

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

export interface InputMessage {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly Long[];
  readonly parameters: ParameterMessages;
  /** An encoded InferTensorContents; empty when there is none. */
  readonly contents: Uint8Array;
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

export interface OutputMessage {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  /** An encoded InferTensorContents; absent when there are raw contents. */
  readonly contents?: Uint8Array;
}

export interface InferResponseMessage {
  readonly model_name: string;
  readonly model_version: string;
  readonly id: string;
  readonly parameters: ParameterMessages;
  readonly outputs: readonly OutputMessage[];
  readonly raw_output_contents: readonly Uint8Array[];
}
