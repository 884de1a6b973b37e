import { beforeEach, describe, expect, it } from "vitest";
import { exampleBundle, exampleDescription } from "../test/bundles.ts";
import { MemoryHost } from "../test/detector-host.ts";
import { FailingStore, openRegistry, settle } from "../test/registry.ts";
import { bundleId } from "./bundle.ts";
import { DetectorRegistry, type RegistryEvent } from "./registry.ts";

const [bundleA, bundleB, bundleC] = [exampleBundle(1), exampleBundle(2), exampleBundle(3)];
const [a, b, c] = [bundleId(bundleA), bundleId(bundleB), bundleId(bundleC)];
const change = { actor: "alice", reason: "incident 7" };

describe("registry: leases, policy, removal, restart", () => {
  let store: FailingStore;
  let host: MemoryHost;
  let registry: DetectorRegistry;
  let events: RegistryEvent[];

  beforeEach(async () => {
    store = new FailingStore();
    host = new MemoryHost();
    registry = await openRegistry(store, host);
    events = [];
    registry.subscribe((event) => events.push(event));
  });
  const stored = async () => (await registry.list()).map(({ id }) => id);

  beforeEach(async () => {
    await registry.upload(bundleA, change);
    await registry.upload(bundleB, change);
    await settle();
    host.calls.length = 0;
    events.length = 0;
  });

  it("keeps a replaced detector published as long as a request has it", async () => {
    await registry.upload(bundleC, change);
    await registry.activate(a, change);
    const [first, second] = [registry.lease(), registry.lease()];
    await registry.activate(b, change);
    await registry.activate(c, change);
    await settle();
    // a is leased, b is the previous one, c is active.
    expect([...host.published].sort()).toEqual([a, b, c].sort());
    expect(first.value).toMatchObject({ detector: a, revision: 1 });
    first.release();
    first.release();
    await settle();
    expect(host.published.has(a)).toBe(true);
    second.release();
    await settle();
    expect([...host.published].sort()).toEqual([b, c].sort());
  });

  it("publishes a detector anew when it comes back while it is being retired", async () => {
    let finish: (() => void) | undefined;
    await registry.activate(a, change);
    await registry.activate(b, change);
    host.before = (operation) =>
      operation === "retire" && !finish ? new Promise((done) => (finish = done)) : undefined;
    await registry.activate(null, change);
    await settle();
    expect(host.calls.at(-1)).toBe(`retire ${a}`);
    const again = registry.activate(a, change);
    await settle();
    expect(registry.snapshot().active).toBeNull();
    finish?.();
    await again;
    await settle();
    expect(registry.snapshot().active).toBe(a);
    expect(host.published.has(a)).toBe(true);
  });

  it("warns when a detector cannot be retired, and goes on", async () => {
    const warnings: string[] = [];
    registry = await openRegistry(store, host, (message) => warnings.push(message));
    host.before = (operation) => {
      if (operation === "retire") throw new Error("boom");
    };
    await registry.upload(bundleC, change);
    await settle();
    expect(warnings).toEqual([`detector ${c} could not be retired; it keeps its memory`]);
    await registry.activate(c, change);
  });

  it("changes the policy as a whole or not at all", async () => {
    expect(await registry.setPolicy({ mode: "observe" }, change)).toMatchObject({
      revision: 1,
      policy: { mode: "observe", onError: "open" },
    });
    const lease = registry.lease();
    expect(await registry.setPolicy({ onError: "closed", mode: "off" }, change)).toMatchObject({
      revision: 2,
    });
    expect(lease.value.policy.mode).toBe("observe");
    expect(registry.lease().value.policy).toMatchObject({ mode: "off", onError: "closed" });
    expect(await registry.setPolicy({ mode: "off" }, change)).toMatchObject({ revision: 2 });
    for (const [patch, message] of [
      [{ mode: "enforce", onError: "ajar" }, 'policy.onError: expected "open" or "closed"'],
      [{ mode: "enforce", shadow: "a" }, "policy.shadow: expected null or the id"],
      [{ canary: { detector: a, percent: 101 } }, "policy.canary: expected null or"],
      [{ guard: { window_s: 0, max_trigger_rate: 0.5 } }, "policy.guard: expected null or"],
      [{ guard: { window_s: 60 } }, "at least one of the two limits"],
      [{ mode: "on", colour: 1 }, /policy.mode: expected .*; policy.colour: there is no such field/],
      [JSON.parse('{"__proto__": {"mode": "off"}}'), "there is no such field"],
      [null, "expected an object"],
      [["off"], "expected an object"],
    ] as const) {
      await expect(registry.setPolicy(patch, change)).rejects.toMatchObject({ code: "ATPATCH_BAD_INPUT" });
      await expect(registry.setPolicy(patch, change)).rejects.toThrow(message);
    }
    expect(registry.snapshot()).toMatchObject({ revision: 2, policy: { mode: "off", onError: "closed" } });
    store.beforeAppend = () => Promise.reject(new Error("disk full"));
    await expect(registry.setPolicy({ mode: "enforce" }, change)).rejects.toThrow("disk full");
    expect(registry.snapshot()).toMatchObject({ revision: 2, policy: { mode: "off" } });
  });

  it("removes what is not active", async () => {
    await registry.activate(a, change);
    await expect(registry.remove(a, change)).rejects.toMatchObject({ code: "ATPATCH_CONFLICT" });
    await registry.remove(b, change);
    expect([await stored(), registry.snapshot().revision]).toEqual([[a], 1]);
    await expect(registry.activate(b, change)).rejects.toMatchObject({ code: "ATPATCH_UNKNOWN_DETECTOR" });
  });

  it("has nothing to roll back to when the previous detector was removed", async () => {
    await registry.activate(a, change);
    await registry.activate(b, change);
    await registry.remove(a, change);
    expect(registry.snapshot()).toMatchObject({ revision: 3, active: b, previous: null });
    await expect(registry.rollback(change)).rejects.toMatchObject({ code: "ATPATCH_CONFLICT" });
    await settle();
    expect([...host.published]).toEqual([b]);
  });

  it("tells who did what, and why, in the log and to listeners", async () => {
    await registry.activate(a, change);
    await registry.activate(b, { actor: "bob" });
    await registry.rollback({ actor: "carol", reason: "false flags" });
    await registry.setPolicy({ mode: "observe" }, change);
    await registry.remove(b, change);
    expect(events.map(({ entry }) => entry.action)).toEqual([
      "activated",
      "activated",
      "rolled_back",
      "policy",
      "removed",
    ]);
    expect(events.every(({ model }) => model === "signs")).toBe(true);
    expect((await registry.history({ limit: 5 })).reverse()).toEqual(events.map(({ entry }) => entry));
    expect(events[2]?.entry).toMatchObject({
      revision: 3,
      at: "2026-05-01T12:00:00.000Z",
      actor: "carol",
      reason: "false flags",
      detector: a,
      before: { active: b, previous: a },
      after: { active: a, previous: b },
    });
    expect(events[1]?.entry.reason).toBeNull();
  });

  it("goes on when a listener throws, and leaves out one that has unsubscribed", async () => {
    const warnings: string[] = [];
    registry = await openRegistry(store, host, (message) => warnings.push(message));
    const seen: string[] = [];
    registry.subscribe(() => {
      throw new Error("listener is broken");
    });
    const stop = registry.subscribe(({ entry }) => seen.push(entry.action));
    await registry.activate(a, change);
    stop();
    await registry.activate(b, change);
    expect(seen).toEqual(["activated"]);
    expect(warnings).toEqual(
      Array(2).fill("a listener to the detectors of signs failed: listener is broken"),
    );
  });

  it("comes back after a restart as it was", async () => {
    await registry.activate(a, change);
    await registry.activate(b, change);
    await registry.setPolicy({ mode: "observe" }, change);
    const before = registry.snapshot();
    host = new MemoryHost();
    registry = await openRegistry(store, host);
    expect(registry.snapshot()).toEqual(before);
    expect([...host.published]).toEqual([b]);
    expect(registry.lease().value).toMatchObject({ detector: b, policy: { mode: "observe" }, revision: 3 });
    expect(await registry.rollback(change)).toMatchObject({ revision: 4, active: a, previous: b });
    expect(host.published.has(a)).toBe(true);
  });

  it("does not start without the detector that was active", async () => {
    await registry.activate(a, change);
    await store.delete(a);
    await expect(openRegistry(store, host)).rejects.toMatchObject({ code: "ATPATCH_UNKNOWN_DETECTOR" });
    await store.put(bundleA);
    await expect(
      DetectorRegistry.open({ model: "signs", store, host, description: exampleDescription("retrained") }),
    ).rejects.toMatchObject({ code: "ATPATCH_BUNDLE_MISMATCH" });
    expect((await openRegistry(store, host)).snapshot()).toMatchObject({ active: a });
  });
});
