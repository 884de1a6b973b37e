import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EventBus, type ServerEvent } from "./events.ts";

const at = (milliseconds: number): Date => new Date(milliseconds);

describe("EventBus", () => {
  it("gives whoever comes back exactly what he missed, and says when that is not all", () => {
    const step = fc.record({ keep: fc.boolean(), time: fc.nat(3) });
    const property = fc.property(
      fc.array(step, { maxLength: 40 }),
      fc.nat(40),
      fc.integer({ min: 1, max: 12 }),
      (steps, seen, capacity) => {
        const bus = new EventBus(capacity);
        const all: ServerEvent[] = [];
        let time = 1;
        for (const { keep, time: passed } of steps) {
          time += passed;
          all.push(bus.publish("step", { all: all.length }, { keep, at: at(time) }));
        }
        const kept = all.filter((event) => event.id !== null);
        const ids = kept.map((event) => event.id!);
        expect(ids).toEqual([...new Set(ids)].toSorted((a, b) => a - b));
        const last = kept[seen % (kept.length + 1)];
        const later = kept.filter((event) => event.id! > (last?.id ?? 0));
        const { missed, complete } = bus.subscribe(() => {}, last?.id ?? 0);
        expect(missed).toEqual(later.slice(-capacity));
        expect(complete).toBe(later.length <= capacity);
      },
    );
    fc.assert(property);
  });

  it("tells every listener once, and goes on when one of them throws", () => {
    const warnings: string[] = [];
    const bus = new EventBus(4, (message) => warnings.push(message));
    const heard: string[] = [];
    bus.subscribe(() => {
      throw new Error("no time");
    });
    const { stop } = bus.subscribe(({ name }) => heard.push(name));
    bus.publish("a", {});
    stop();
    stop();
    bus.publish("b", {});
    expect(heard).toEqual(["a"]);
    expect(warnings).toEqual([
      "a listener to the event a failed: no time",
      "a listener to the event b failed: no time",
    ]);
  });

  it("runs a source only while somebody listens", () => {
    const bus = new EventBus();
    const turns: string[] = [];
    bus.whileHeard(() => {
      turns.push("on");
      return () => turns.push("off");
    });
    const [one, two] = [bus.subscribe(() => {}), bus.subscribe(() => {})];
    one.stop();
    one.stop();
    expect(turns).toEqual(["on"]);
    two.stop();
    bus.subscribe(() => {});
    bus.close();
    expect(turns).toEqual(["on", "off", "on", "off"]);
  });

  it("does not claim to know what happened before it was there", () => {
    const bus = new EventBus();
    bus.forgetBefore(at(5));
    expect(bus.subscribe(() => {}, 4_999).complete).toBe(false);
    expect(bus.subscribe(() => {}, 5_000).complete).toBe(true);
  });
});
