/** The gRPC front end: the same services as over HTTP, on a port of its own. */
import type { Writable } from "node:stream";
import {
  Server,
  ServerCredentials,
  logVerbosity,
  setLogVerbosity,
  type handleUnaryCall,
  type ServerWritableStream,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { loadDefinitions, type UnreadRequest } from "./definitions.ts";
import { checkHealth, watchHealth, type HealthRequest } from "./health.ts";
import { inferenceHandlers, type UnaryHandler } from "./inference.ts";
import { answerMetadata, CallObserver } from "./observe.ts";
import type { GrpcOptions, GrpcServices } from "./services.ts";
import { inferStream, type InferStream } from "./stream.ts";

/** Calls of one connection at a time. */
const mostCalls = 256;

export interface GrpcServer {
  /**
   * @returns the port, chosen by the system for port 0
   * @throws Error when the address cannot be listened on
   */
  listen(host: string, port: number): Promise<number>;
  /** Takes no more connections, ends the streams, and resolves when every accepted call is answered. Idempotent. */
  close(): Promise<void>;
}

export async function createGrpcServer(services: GrpcServices, options: GrpcOptions): Promise<GrpcServer> {
  // What goes wrong is told by errors; the library would write to the console besides.
  setLogVerbosity(logVerbosity.NONE);
  const definitions = await loadDefinitions();
  const observer = new CallObserver(services, options.logger);
  const ending = new AbortController();
  const server = new Server({
    "grpc.max_receive_message_length": options.bodyLimit,
    "grpc.max_send_message_length": -1,
    "grpc.max_concurrent_streams": mostCalls,
  });

  const unary = (
    method: string,
    handler: UnaryHandler,
    whileClosing = false,
  ): handleUnaryCall<unknown, unknown> => {
    const respond: (...of: Parameters<handleUnaryCall<unknown, unknown>>) => Promise<void> = async (
      call,
      callback,
    ) => {
      const done = await observer.handle(call, { method, whileClosing }, async (context) => {
        let headers: Readonly<Record<string, string>> = {};
        const { fault } = call.request as UnreadRequest;
        if (fault !== undefined) throw fault;
        const answer = await handler(call.request as never, context, (more) => (headers = more));
        call.sendMetadata(answerMetadata(context, headers));
        return answer;
      });
      if ("answer" in done) callback(null, done.answer);
      else callback(done.failure);
    };
    return (call, callback) => void respond(call, callback);
  };

  const inference: UntypedServiceImplementation = {
    ModelStreamInfer: (stream: InferStream) => {
      void observer
        .handle(stream, { method: "ModelStreamInfer", whileClosing: false }, (context) => {
          stream.sendMetadata(answerMetadata(context));
          return inferStream(services, stream, context, ending.signal);
        })
        .then((done) => endStream(stream, done));
    },
  };
  const alive = new Set(["ServerLive", "ServerReady"]);
  for (const [method, handler] of Object.entries(inferenceHandlers(services, options.version))) {
    // A method without a handler is answered with UNIMPLEMENTED.
    if (options.admin === false && method.startsWith("Repository")) continue;
    inference[method] = unary(method, handler, alive.has(method));
  }
  server.addService(definitions.inference, inference);
  server.addService(definitions.health, {
    Check: unary("Check", (request: HealthRequest) => checkHealth(services.health, request), true),
    Watch: (stream: ServerWritableStream<HealthRequest, object>) => {
      void observer
        .handle(stream, { method: "Watch", whileClosing: true }, (context) =>
          watchHealth(services.health, stream, AbortSignal.any([ending.signal, context.call.signal!])),
        )
        .then((done) => endStream(stream, done));
    },
  });

  return {
    listen: (host, port) =>
      new Promise((resolve, reject) => {
        const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
        server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) => {
          if (error === null) resolve(bound);
          else reject(new Error(/listen E[^\]]*/.exec(error.message)?.[0] ?? error.message));
        });
      }),
    close: () => {
      ending.abort();
      return new Promise((resolve) => server.tryShutdown(() => resolve()));
    },
  };
}

function endStream(stream: Pick<Writable, "end" | "emit">, done: object): void {
  if ("failure" in done) stream.emit("error", done.failure);
  else stream.end();
}
