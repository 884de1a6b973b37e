/** A server on the tiny model with its gRPC front end on a free port, and a client of it. */
import { createGrpcClient, type GrpcClient } from "./grpc-client.ts";
import { tinySample } from "./tiny-model.ts";
import { tinyServer, type TinyServer, type TinyServerOptions } from "./tiny-server.ts";

export interface TinyGrpc {
  readonly server: TinyServer;
  readonly client: GrpcClient;
  readonly port: number;
  close(): Promise<void>;
}

export async function tinyGrpc(options: TinyServerOptions = {}): Promise<TinyGrpc> {
  const server = await tinyServer(options);
  const port = await server.grpc.listen("127.0.0.1", 0);
  const client = await createGrpcClient(port);
  return {
    server,
    client,
    port,
    close: async () => {
      client.close();
      await server.close();
    },
  };
}

/** A request with raw contents; token 3 of its only sample is marked unless samples are given. */
export function rawRequest(samples = [tinySample({ 3: 8 })], rest: object = {}): object {
  return {
    model_name: "tiny",
    inputs: [{ name: "x", datatype: "FP32", shape: [samples.length, 5, 4] }],
    raw_input_contents: [Buffer.from(Float32Array.from(samples.flat(2)).buffer)],
    ...rest,
  };
}
