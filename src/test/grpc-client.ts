/** A gRPC client on the loopback address, for every call the server offers. */
import {
  Client,
  credentials,
  Metadata,
  status as codes,
  type CallOptions,
  type ClientDuplexStream,
  type ClientReadableStream,
  type MethodDefinition,
  type ServiceError,
} from "@grpc/grpc-js";
import { loadDefinitions } from "../grpc/definitions.ts";

type Message = Record<string, unknown>;

export interface GrpcAnswer {
  /** "OK", the code of the catalogue, or the name of the status where there is none. */
  readonly code: string;
  readonly status: string;
  readonly error?: string;
  readonly answer: Message;
  /** Metadata before the answer and after it. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface CallExtras extends CallOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly cancel?: AbortSignal;
}

export interface GrpcClient {
  /** @param request a message, or its bytes, whatever they are */
  call(method: string, request: object | Buffer, extras?: CallExtras): Promise<GrpcAnswer>;
  stream(): ClientDuplexStream<object, Message>;
  watch(request: object): ClientReadableStream<Message>;
  close(): void;
}

export async function createGrpcClient(port: number): Promise<GrpcClient> {
  const { core, inference, health } = await loadDefinitions();
  const methods = { ...inference, ...core, ...health } as Readonly<
    Record<string, MethodDefinition<object, Message>>
  >;
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
    "grpc.enable_retries": 0,
    "grpc.use_local_subchannel_pool": 1,
  });
  return {
    call: (name, request, { headers = {}, cancel, ...options } = {}) => {
      const { path, requestSerialize, responseDeserialize } = methods[name]!;
      const metadata = new Metadata();
      for (const [key, value] of Object.entries(headers)) metadata.set(key, value);
      return new Promise((resolve) => {
        let before = new Metadata();
        const done = (error: ServiceError | null, answer: Message = {}): void => {
          const after = error?.metadata ?? new Metadata();
          const all = { ...plain(before), ...plain(after) };
          const status = codes[error?.code ?? codes.OK];
          const code = all["atpatch-code"] ?? status;
          resolve({ code, status, answer, headers: all, ...(error && { error: error.details }) });
        };
        const call = client.makeUnaryRequest(
          path,
          Buffer.isBuffer(request) ? (bytes: object) => bytes as Buffer : requestSerialize,
          responseDeserialize,
          request,
          metadata,
          options,
          done,
        );
        call.on("metadata", (received: Metadata) => (before = received));
        cancel?.addEventListener("abort", () => call.cancel());
      });
    },
    stream: () => {
      const { path, requestSerialize, responseDeserialize } = methods["ModelStreamInfer"]!;
      return client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    },
    watch: (request) => {
      const { path, requestSerialize, responseDeserialize } = methods["Watch"]!;
      return client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request);
    },
    close: () => client.close(),
  };
}

function plain(metadata: Metadata): Record<string, string> {
  return Object.fromEntries(Object.entries(metadata.getMap()).map(([key, value]) => [key, String(value)]));
}
