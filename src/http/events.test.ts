import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { adminEntry } from "../service/tokens.ts";
import { markDetector } from "../test/tiny-model.ts";
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

it("streams every change as it happens, and ends when the server closes", async () => {
  expect((await fetch(`${url}/admin/events`)).status).toBe(401);
  const answer = await fetch(`${url}/admin/events`, { headers });
  expect(answer.headers.get("content-type")).toBe("text/event-stream");
  const { registry, engine } = server.model;
  const { id } = await registry.upload(markDetector(engine.description), { actor: "root" });
  await registry.activate(id, { actor: "root", reason: "go" });
  await registry.setPolicy({ mode: "observe" }, { actor: "root" });

  // Closing ends the stream, so the whole of it can be read.
  const closed = server.app.close();
  const events = (await answer.text()).split("\n\n").filter((event) => event.startsWith("id:"));
  await closed;
  expect(events.map((event) => event.split("\n").slice(0, 2))).toEqual([
    ["id: tiny/0", "event: uploaded"],
    ["id: tiny/1", "event: activated"],
    ["id: tiny/2", "event: policy"],
  ]);
  const data = JSON.parse(events[1]!.split("\ndata: ")[1]!) as object;
  expect(data).toMatchObject({ model: "tiny", actor: "root", reason: "go", after: { active: id } });
});
