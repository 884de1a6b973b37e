import { get, type IncomingMessage } from "node:http";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { adminEntry } from "../service/tokens.ts";
import { markDetector, tinySample } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let server: TinyServer;
let url: string;
const headers = { authorization: "Bearer a-token" };

beforeAll(async () => {
  server = await tinyServer({ tokens: [adminEntry("root", "a-token")] });
  url = await server.app.listen({ port: 0 });
});
afterAll(() => server.close());

interface Heard {
  readonly id: string | undefined;
  readonly name: string;
  readonly data: unknown;
}

/** Opens the stream on a connection of its own. */
function open(lastEventId?: string): Promise<IncomingMessage> {
  const extra = lastEventId !== undefined && { "last-event-id": lastEventId };
  return new Promise((resolve) => {
    get(`${url}/admin/events`, { agent: false, headers: { ...headers, ...extra } }, resolve);
  });
}

/** Reads a stream until as many events came as are wanted; `during` runs once it is open. */
async function listen(
  count: number,
  lastEventId?: string,
  during?: () => Promise<unknown>,
  name = "",
): Promise<Heard[]> {
  const stream = await open(lastEventId);
  expect(stream.headers["content-type"]).toBe("text/event-stream");
  const done = during?.();
  let text = "";
  for await (const chunk of stream) {
    text += String(chunk);
    const events = eventsOf(text).filter((event) => event.name.startsWith(name));
    if (events.length < count) continue;
    await done;
    return events.slice(0, count);
  }
  throw new Error("the stream ended too early");
}

function eventsOf(text: string): Heard[] {
  return text
    .split("\n\n")
    .slice(0, -1)
    .filter((block) => block.includes("event: "))
    .map((block) => ({
      id: /^id: (\d+)$/m.exec(block)?.[1],
      name: /^event: (\w+)$/m.exec(block)![1]!,
      data: JSON.parse(/^data: (.*)$/m.exec(block)![1]!) as unknown,
    }));
}

it("streams every change as it happens, and what was missed to whoever comes back", async () => {
  expect((await server.app.inject("/admin/events")).statusCode).toBe(401);
  const { registry, engine } = server.model;
  const events = await listen(3, undefined, async () => {
    const { id } = await registry.upload(markDetector(engine.description), { actor: "root" });
    await registry.activate(id, { actor: "root", reason: "go" });
    await registry.setPolicy({ mode: "observe" }, { actor: "root" });
  });
  expect(events.map(({ name }) => name)).toEqual(["uploaded", "activated", "policy"]);
  const { active } = registry.snapshot();
  expect(events[1]!.data).toMatchObject({ model: "tiny", actor: "root", reason: "go", after: { active } });

  const again = await listen(3, events[0]!.id, () => registry.setPolicy({ mode: "off" }, { actor: "root" }));
  expect(again.slice(0, 2)).toEqual(events.slice(1));
  expect(again[2]).toMatchObject({ name: "policy", data: { after: { policy: { mode: "off" } } } });
});

it("tells the trigger rate of the last seconds, without an id", async () => {
  const send = () =>
    server.app.inject({
      method: "POST",
      url: "/predict",
      payload: { instances: [tinySample({ 3: 8 }), tinySample()] },
    });
  await server.model.registry.setPolicy({ mode: "enforce" }, { actor: "root" });
  const heard = await listen(1, undefined, send, "trigger_rate");
  expect(heard).toMatchObject([
    { id: undefined, name: "trigger_rate", data: { model: "tiny", seconds: 2, rate: 0.5, samples: 2 } },
  ]);
});

it("says that it cannot know everything since an id of another time", async () => {
  server.services.events.forgetBefore(new Date(1));
  expect(await listen(1, "5")).toMatchObject([{ name: "gap", id: undefined, data: { after: 5 } }]);
  expect(await listen(1, "tiny/0")).toMatchObject([{ name: "gap", data: { after: 0 } }]);
});

it("drops a reader that does not read, and goes on with the others", async () => {
  const { events } = server.services;
  const slow = await open();
  slow.pause();
  const dropped = new Promise((resolve) => slow.once("error", resolve));
  const text = "x".repeat(128 * 1024);
  const times = 120;
  const quick = await open();
  let heard = 0;
  quick.on("data", (chunk: Buffer) => (heard += chunk.length));
  for (let sent = 0; sent < times; sent += 1) {
    events.publish("bulk", { text }, { keep: false });
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await vi.waitFor(() => expect(heard).toBeGreaterThan(times * text.length), { timeout: 10_000 });
  quick.destroy();
  slow.resume();
  expect(await dropped).toMatchObject({ code: "ECONNRESET" });
});

it("ends the streams when the server closes", async () => {
  const stream = await open();
  const closed = server.app.close();
  let text = "";
  for await (const chunk of stream) text += String(chunk);
  expect(text).toContain(": connected");
  await closed;
});
