import { beforeEach, describe, expect, it } from "vitest";
import type { DetectorRegistry } from "../detector/registry.ts";
import { bundleId } from "../detector/bundle.ts";
import { exampleBundle } from "../test/bundles.ts";
import { MemoryHost } from "../test/detector-host.ts";
import { FailingStore, openRegistry, settle } from "../test/registry.ts";
import { EventBus, type ServerEvent } from "./events.ts";
import { Guard, guardActor } from "./guard.ts";

const bundles = [1, 2, 3].map((seed) => exampleBundle(seed));
const [good, bad, other] = bundles.map(bundleId) as [string, string, string];
const ops = { actor: "ops" };
const limits = { window_s: 60, max_trigger_rate: 0.2 };

let store: FailingStore;
let registry: DetectorRegistry;
let events: ServerEvent[];
let reported: string[];
let now: number;
let guard: Guard;

const open = (on: DetectorRegistry = registry): Promise<Guard> => {
  const bus = new EventBus();
  bus.subscribe((event) => events.push(event));
  return Guard.open({
    registry: on,
    events: bus,
    observer: {
      swapped: (_model, result) => reported.push(`swapped ${result}`),
      guarded: (_model, reason) => reported.push(reason),
    },
    clock: () => now,
  });
};
const answer = (detector: string, triggered: number, samples = 10, role: "active" | "canary" = "active") =>
  guard.answered({ detector, role, samples, triggered });

beforeEach(async () => {
  store = new FailingStore();
  registry = await openRegistry(store, new MemoryHost());
  for (const bundle of bundles) await registry.upload(bundle, ops);
  await registry.activate(good, ops);
  await registry.setPolicy({ guard: limits }, ops);
  [events, reported, now] = [[], [], 1_000_000];
  guard = await open();
  await registry.activate(bad, ops);
});

describe("the guard", () => {
  it("rolls a detector back that flags too much, and says why in event, history and metric", async () => {
    answer(bad, 2);
    answer(bad, 2);
    await settle();
    expect(registry.snapshot().active).toBe(bad);
    answer(bad, 9);
    await settle();
    const reason = "the active detector flagged 43.3 % of 30 samples within 60 s; the limit is 20.0 %";
    expect(registry.snapshot()).toMatchObject({ active: good, previous: bad });
    expect(await registry.history({ limit: 1 })).toMatchObject([
      { action: "rolled_back", actor: guardActor, reason, before: { active: bad }, after: { active: good } },
    ]);
    expect(events).toMatchObject([
      {
        name: "guard",
        data: {
          model: "signs",
          role: "active",
          detector: bad,
          now: good,
          cause: "trigger_rate",
          limit: 0.2,
          samples: 30,
          reason,
        },
      },
    ]);
    expect(reported).toEqual(["swapped ok", "trigger_rate"]);
  });

  it("concludes nothing from few samples, or from samples that have left the window", async () => {
    answer(bad, 1, 1);
    answer(bad, 8, 8);
    await settle();
    expect(registry.snapshot().active).toBe(bad);
    now += 61_000;
    answer(bad, 1, 1);
    expect(guard.state).toMatchObject({ armed: true, active: { samples: 1, trigger_rate: 1 } });
    await settle();
    expect(registry.snapshot().active).toBe(bad);
    await registry.setPolicy({ guard: { ...limits, min_samples: 2 } }, ops);
    answer(bad, 1, 1);
    answer(bad, 1, 1);
    await settle();
    expect(registry.snapshot().active).toBe(good);
  });

  it("does not swap to and fro: it acts once for every activation somebody else made, also across a restart", async () => {
    answer(bad, 10);
    await settle();
    answer(good, 10);
    await settle();
    expect(registry.snapshot()).toMatchObject({ active: good, previous: bad });
    expect(guard.state?.armed).toBe(false);
    expect((await open(await openRegistry(store, new MemoryHost()))).state?.armed).toBe(false);
    await registry.activate(other, ops);
    expect((await open(await openRegistry(store, new MemoryHost()))).state?.armed).toBe(true);
    answer(other, 10);
    await settle();
    expect(registry.snapshot()).toMatchObject({ active: good, previous: other });
    await registry.setPolicy({ guard: { ...limits, max_trigger_rate: 0.5 } }, ops);
    expect(guard.state?.armed).toBe(true);
  });

  it("goes back to no detector when there was none", async () => {
    await registry.remove(good, ops);
    answer(bad, 10);
    await settle();
    expect(registry.snapshot()).toMatchObject({ active: null, previous: bad });
  });

  it("counts labels that the patch changes as a share of all samples", async () => {
    await registry.setPolicy({ guard: { window_s: 60, max_label_flip_rate: 0.1 } }, ops);
    expect(guard.checksFlips).toBe(true);
    answer(bad, 40, 100);
    guard.checked({ detector: bad, role: "active", checked: 9, flipped: 9 });
    await settle();
    expect([registry.snapshot().active, guard.state?.active?.label_flip_rate]).toEqual([bad, 0.4]);
    guard.checked({ detector: bad, role: "active", checked: 31, flipped: 0 });
    expect(guard.state?.active?.label_flip_rate).toBeCloseTo(0.09);
    await settle();
    expect(registry.snapshot().active).toBe(bad);
    guard.checked({ detector: bad, role: "active", checked: 5, flipped: 5 });
    await settle();
    expect(registry.snapshot().active).toBe(good);
    expect(reported).toEqual(["swapped ok", "label_flip_rate"]);
  });

  it("ends a canary that is over a limit and leaves the active detector alone", async () => {
    await registry.setPolicy({ canary: { detector: other, percent: 5 } }, ops);
    answer(other, 10, 10, "canary");
    answer(bad, 0);
    await settle();
    expect(registry.snapshot()).toMatchObject({ active: bad, policy: { canary: null, guard: limits } });
    expect(await registry.history({ limit: 1 })).toMatchObject([{ action: "policy", actor: guardActor }]);
    expect(guard.state?.armed).toBe(true);
  });

  it("takes nothing for a fault of the present detector that another one did", async () => {
    answer(good, 10);
    await settle();
    expect(registry.snapshot().active).toBe(bad);
    store.beforeAppend = () => Promise.reject(new Error("disk full"));
    answer(bad, 10);
    await settle();
    expect(registry.snapshot().active).toBe(bad);
    store.beforeAppend = () => {};
    answer(bad, 1);
    await settle();
    expect(registry.snapshot().active).toBe(good);
  });

  it("does nothing without limits", async () => {
    await registry.setPolicy({ guard: null }, ops);
    answer(bad, 100);
    await settle();
    expect([registry.snapshot().active, guard.state, guard.checksFlips]).toEqual([bad, null, false]);
  });
});
