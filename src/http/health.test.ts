import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { drain } from "../serve.ts";
import { tinySample } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

interface Running extends TinyServer {
  readonly url: string;
  readonly predict: (init?: RequestInit) => Promise<Response>;
}

async function startServer(ballast: number, deadlineMs = 20_000): Promise<Running> {
  const server = await tinyServer({ ballast, settings: { queue: 1, deadlineMs } });
  const url = await server.app.listen({ port: 0 });
  const predict = (init: RequestInit = {}): Promise<Response> =>
    fetch(`${url}/predict`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ instances: [tinySample()] }),
      ...init,
    });
  return { ...server, url, predict };
}

/** An inference takes about a second on one thread; less than that on a quick machine. */
const longBallast = 250;
/** Long enough to be met while it runs. */
const shortBallast = 50;

/** Milliseconds until the answer is there. */
async function timed(url: string, path: string): Promise<number> {
  const start = performance.now();
  const answer = await fetch(url + path);
  await answer.text();
  expect(answer.status).toBe(200);
  return performance.now() - start;
}

describe("while a long inference runs", () => {
  it("answers health and metrics within 50 ms", async () => {
    const server = await startServer(longBallast);
    const { url, predict } = server;
    await timed(url, "/metrics");
    const begin = performance.now();
    let running = true;
    const inference = predict().finally(() => {
      running = false;
    });
    const times: number[] = [];
    while (running) {
      times.push(await timed(url, "/v2/health/live"), await timed(url, "/metrics"));
      await pause(20);
    }
    expect((await inference).status).toBe(200);
    expect(performance.now() - begin).toBeGreaterThan(500);
    expect(times.length).toBeGreaterThan(10);
    // The median, since a machine that is busy with other tests pauses now and then; on the event-loop thread all of
    // them would have waited for the inference.
    expect(times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)]).toBeLessThan(50);
    await server.close();
  });
});

describe("a deadline", () => {
  it("is answered with 504 when it passes before the answer is there", async () => {
    const server = await startServer(shortBallast, 20);
    const answer = await server.predict();
    expect([answer.status, await answer.json()]).toMatchObject([504, { code: "ATPATCH_DEADLINE" }]);
    await server.close();
  });
});

describe("under load", () => {
  let server: Running;
  beforeAll(async () => {
    server = await startServer(shortBallast);
  });
  afterAll(() => server.close());

  it("answers 429 with retry-after when the queue is full, and the accepted ones", async () => {
    const { predict } = server;
    const answers = await Promise.all([predict(), predict(), predict(), predict()]);
    const statuses = answers.map((answer) => answer.status).toSorted((a, b) => a - b);
    expect(statuses).toEqual([200, 200, 429, 429]);
    const refused = answers.find((answer) => answer.status === 429)!;
    expect(refused.headers.get("retry-after")).toBe("1");
    expect(await refused.json()).toMatchObject({ code: "ATPATCH_QUEUE_FULL" });
  });

  it("refuses without reading the body while the queue is full", async () => {
    const { predict, url } = server;
    const [running, waiting] = [predict(), predict()];
    await until(() => server.model.engine.queued === 1);
    const paths = ["/predict", "/v1/models/tiny:predict", "/v2/models/tiny/infer"];
    const refused = await Promise.all(
      paths.map((path) =>
        fetch(url + path, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: "{ no JSON",
        }),
      ),
    );
    expect(refused.map(({ status }) => status)).toEqual([429, 429, 429]);
    expect((await Promise.all([running, waiting])).map(({ status }) => status)).toEqual([200, 200]);
  });

  it("drops a waiting request whose caller has gone", async () => {
    const { predict, url } = server;
    const first = predict();
    await pause(50);
    const caller = new AbortController();
    const second = predict({ signal: caller.signal }).catch(() => "gone");
    await until(() => server.model.engine.queued === 1);
    caller.abort();
    await until(() => server.model.engine.queued === 0);
    expect(await second).toBe("gone");
    expect((await first).status).toBe(200);
    const metrics = await (await fetch(`${url}/metrics`)).text();
    expect(metrics).toContain('atpatch_rejected_total{model="tiny",reason="cancelled"} 1');
  });

  it("is not ready while it drains, and serves on", async () => {
    const { services, url, predict } = server;
    services.health.enter("draining");
    const ready = await fetch(`${url}/v2/health/ready`);
    expect([ready.status, await ready.json()]).toEqual([
      503,
      { error: "not ready: the server is draining", code: "ATPATCH_NOT_READY" },
    ]);
    expect(ready.headers.get("retry-after")).toBe("2");
    expect((await fetch(`${url}/v2/health/live`)).status).toBe(200);
    expect((await predict()).status).toBe(200);
    services.health.enter("serving");
    expect((await fetch(`${url}/v2/health/ready`)).status).toBe(200);
  });

  it("answers what it accepted before it closes, and refuses what comes later", async () => {
    const { app, grpc, services, model, url, predict } = server;
    const accepted = [predict(), predict()];
    await until(() => model.engine.queued === 1);
    const drained = drain({ app, grpc, services, close: () => model.close() }, 0);
    // The socket takes no new connection; over one that is open the answer is this.
    const late = await app.inject({
      method: "POST",
      url: "/predict",
      payload: { instances: [tinySample()] },
    });
    expect([late.statusCode, late.json<{ code: string }>().code]).toEqual([503, "ATPATCH_NOT_READY"]);
    expect(late.headers.connection).toBe("close");
    const answers = await Promise.all(accepted);
    expect(answers.map((answer) => answer.status)).toEqual([200, 200]);
    expect(answers.map((answer) => answer.headers.get("connection"))).toEqual(["close", "close"]);
    await drained;
    await expect(fetch(`${url}/v2/health/live`)).rejects.toThrow();
  });
});

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await pause(5);
}
