import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EventStreamReader } from "./event-stream.ts";

const text = [
  "retry: 2000\n: connected\n\n",
  'id: 7\nevent: activated\ndata: {"model":"a"}\n\n',
  ": alive\n\n",
  'event: trigger_rate\r\ndata: {"model":\r\ndata: "b"}\r\n\r\n',
  "event: odd\ndata: {\n\n",
].join("");

describe("the reader of events", () => {
  it("gives the same events however the stream is cut", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(text.length), { maxLength: 8 }), (cuts) => {
        const reader = new EventStreamReader();
        const at = [0, ...cuts.sort((a, b) => a - b), text.length];
        const events = at.slice(1).flatMap((end, i) => reader.push(text.slice(at[i], end)));
        expect(events).toEqual([
          { id: "7", name: "activated", data: { model: "a" } },
          { id: null, name: "trigger_rate", data: { model: "b" } },
        ]);
        expect(reader.lastId).toBe("7");
      }),
    );
  });
});
