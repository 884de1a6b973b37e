/** The gRPC front end under load and when it closes. */
import { createServer } from "node:net";
import { afterEach, describe, expect, it, vi } from "vitest";
import { drain } from "../serve.ts";
import { createGrpcClient } from "../test/grpc-client.ts";
import { rawRequest, tinyGrpc, type TinyGrpc } from "../test/tiny-grpc.ts";
import { tinyServer, type TinyServerOptions } from "../test/tiny-server.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const opened: TinyGrpc[] = [];
async function open(options: TinyServerOptions): Promise<TinyGrpc> {
  const made = await tinyGrpc(options);
  opened.push(made);
  return made;
}
async function closeAll(): Promise<void> {
  await Promise.all(opened.splice(0).map((made) => made.close()));
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await pause(5);
}

describe("under load and at the end", () => {
  afterEach(closeAll);

  it("drops what waits when the caller leaves or its deadline passes", async () => {
    const { server, client } = await open({ ballast: 40 });
    const { engine } = server.model;
    const running = client.call("ModelInfer", rawRequest());
    await pause(30);
    const leave = new AbortController();
    const left = client.call("ModelInfer", rawRequest(), { cancel: leave.signal });
    const late = client.call("ModelInfer", rawRequest(), { deadline: Date.now() + 40 });
    await until(() => engine.queued === 2);
    leave.abort();
    expect(await left).toMatchObject({ status: "CANCELLED" });
    expect(await late).toMatchObject({ status: "DEADLINE_EXCEEDED" });
    await until(() => engine.queued === 0);
    expect(await running).toMatchObject({ code: "OK" });
    const metrics = await server.services.metrics.expose();
    expect(metrics).toContain('atpatch_rejected_total{model="tiny",reason="cancelled"}');
  });

  it("tells a full queue with the time to wait", async () => {
    const { client, server } = await open({ ballast: 40, settings: { queue: 1 } });
    const first = client.call("ModelInfer", rawRequest());
    await pause(30);
    const second = client.call("ModelInfer", rawRequest());
    await until(() => server.model.engine.queued === 1);
    const third = await client.call("ModelInfer", rawRequest());
    expect(third).toMatchObject({
      status: "RESOURCE_EXHAUSTED",
      code: "ATPATCH_QUEUE_FULL",
      headers: { "grpc-retry-pushback-ms": "1000" },
    });
    // What is refused is not looked at first: this one has no tensor.
    const empty = await client.call("ModelInfer", { model_name: "tiny" });
    expect(empty).toMatchObject({ code: "ATPATCH_QUEUE_FULL" });
    expect((await Promise.all([first, second])).map(({ code }) => code)).toEqual(["OK", "OK"]);
  });

  it("answers what it accepted, ends its streams and takes nothing new when it drains", async () => {
    const { server, client, port } = await open({ ballast: 40 });
    const statuses: unknown[] = [];
    const watch = client.watch({ service: "" });
    watch.on("data", ({ status }: { status: unknown }) => statuses.push(status));
    const watched = new Promise((resolve) => watch.on("end", resolve));
    const idle = client.stream();
    const idled = new Promise((resolve) => idle.on("error", resolve));
    idle.resume();
    await until(() => statuses.length === 1);
    const accepted = [client.call("ModelInfer", rawRequest()), client.call("ModelInfer", rawRequest())];
    await until(() => server.model.engine.queued === 1);
    await drain({ ...server, close: () => server.model.close() }, 0);
    expect((await Promise.all(accepted)).map(({ code }) => code)).toEqual(["OK", "OK"]);
    await watched;
    expect(statuses).toEqual(["SERVING", "NOT_SERVING"]);
    expect(await idled).toMatchObject({ details: "the server is draining" });
    const later = await createGrpcClient(port);
    expect(await later.call("ServerLive", {})).toMatchObject({ status: "UNAVAILABLE" });
    later.close();
  });

  it("says so when its port is taken", async () => {
    const blocker = createServer();
    const port = await new Promise<number>((resolve) => {
      blocker.listen(0, "127.0.0.1", () => resolve((blocker.address() as { port: number }).port));
    });
    const server = await tinyServer();
    await expect(server.grpc.listen("127.0.0.1", port)).rejects.toThrow(
      /^listen EADDRINUSE: address already in use 127\.0\.0\.1:\d+$/,
    );
    await server.close();
    await new Promise((resolve) => blocker.close(resolve));
  });
});
