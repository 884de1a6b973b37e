import { beforeEach, describe, expect, it } from "vitest";
import { exampleBundle, exampleDescription } from "../test/bundles.ts";
import { MemoryHost } from "../test/detector-host.ts";
import { FailingStore, openRegistry, settle } from "../test/registry.ts";
import { bundleId } from "./bundle.ts";
import { defaultPolicy } from "./policy.ts";
import { type DetectorRegistry, type RegistryEvent } from "./registry.ts";

const [bundleA, bundleB, bundleC] = [exampleBundle(1), exampleBundle(2), exampleBundle(3)];
const [a, b, c] = [bundleId(bundleA), bundleId(bundleB), bundleId(bundleC)];
const change = { actor: "alice", reason: "incident 7" };

describe("registry: activation", () => {
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

  beforeEach(async () => {
    await registry.upload(bundleA, change);
    await registry.upload(bundleB, change);
    await settle();
    host.calls.length = 0;
    events.length = 0;
  });

  it("publishes before requests get a detector, and logs before that", async () => {
    let seen: (string | null)[] = [];
    const look = () => void seen.push(registry.lease().value.detector);
    host.before = look;
    store.beforeAppend = () => {
      look();
      expect(host.published.has(a)).toBe(true);
    };
    expect(await registry.activate(a, change)).toMatchObject({ revision: 1, active: a, previous: null });
    expect(seen).toEqual([null, null]);
    seen = [];
    look();
    expect(seen).toEqual([a]);
    expect(registry.lease().value).toMatchObject({ detector: a, bundle: { kernel: 3 }, revision: 1 });
  });

  it("remembers the previous detector and goes back to it", async () => {
    await expect(registry.rollback(change)).rejects.toMatchObject({ code: "ATPATCH_CONFLICT" });
    await registry.activate(a, change);
    await expect(registry.rollback(change)).rejects.toMatchObject({ code: "ATPATCH_CONFLICT" });
    expect(await registry.activate(b, change)).toMatchObject({ revision: 2, active: b, previous: a });
    expect(await registry.rollback(change)).toMatchObject({ revision: 3, active: a, previous: b });
    expect(await registry.rollback(change)).toMatchObject({ revision: 4, active: b, previous: a });
    expect(await registry.activate(null, change)).toMatchObject({ revision: 5, active: null, previous: b });
    expect(registry.lease().value.detector).toBeNull();
    expect(await registry.rollback(change)).toMatchObject({ revision: 6, active: b, previous: null });
    expect((await registry.list()).map(({ role }) => role)).toEqual([null, "active"]);
  });

  it("changes nothing when the active detector is activated again", async () => {
    await registry.activate(a, change);
    await registry.activate(b, change);
    expect(await registry.activate(b, change)).toMatchObject({ revision: 2, active: b, previous: a });
    expect(await registry.history({ limit: 1 })).toMatchObject([{ revision: 2 }]);
    await expect(registry.activate(b, { ...change, ifMatch: 1 })).rejects.toMatchObject({
      code: "ATPATCH_REVISION_MISMATCH",
    });
  });

  it("refuses a stored detector that does not fit, and does not trouble the host", async () => {
    const foreign = exampleBundle(0, exampleDescription("another model"));
    const { id } = await store.put(foreign);
    await expect(registry.activate(id, change)).rejects.toMatchObject({ code: "ATPATCH_BUNDLE_MISMATCH" });
    await settle();
    expect([registry.snapshot().revision, host.calls]).toEqual([0, []]);
  });

  it("loses no change when an upload is written down meanwhile", async () => {
    let proceed: (() => void) | undefined;
    store.beforeAppend = ({ action }) =>
      action === "uploaded" ? new Promise((done) => (proceed = done)) : undefined;
    const upload = registry.upload(bundleC, change);
    await settle();
    const activation = registry.activate(a, change);
    await settle();
    proceed?.();
    await Promise.all([upload, activation]);
    expect(registry.snapshot()).toMatchObject({ revision: 1, active: a });
    expect((await registry.history({ limit: 2 })).map(({ action }) => action)).toEqual([
      "activated",
      "uploaded",
    ]);
  });

  it.each([c, "none", ""])("refuses to activate %j, which is not stored", async (id) => {
    await expect(registry.activate(id, change)).rejects.toMatchObject({ code: "ATPATCH_UNKNOWN_DETECTOR" });
    await expect(registry.describe(id)).rejects.toMatchObject({ code: "ATPATCH_UNKNOWN_DETECTOR" });
    await expect(registry.content(id)).rejects.toMatchObject({ code: "ATPATCH_UNKNOWN_DETECTOR" });
    await expect(registry.remove(id, change)).rejects.toMatchObject({ code: "ATPATCH_UNKNOWN_DETECTOR" });
    expect([registry.snapshot().revision, host.calls, events]).toEqual([0, [], []]);
  });

  it("lets one of two racing changes win and tells the other", async () => {
    const ifMatch = registry.snapshot().revision;
    const results = await Promise.allSettled([
      registry.activate(a, { ...change, ifMatch }),
      registry.activate(b, { ...change, ifMatch }),
    ]);
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
    expect(results[1]).toMatchObject({ reason: { code: "ATPATCH_REVISION_MISMATCH" } });
    expect((results[1] as PromiseRejectedResult).reason).toMatchObject({
      message: expect.stringContaining("revision 1, not 0"),
    });
    expect(registry.snapshot()).toMatchObject({ revision: 1, active: a });
    for (const late of [
      registry.rollback({ ...change, ifMatch }),
      registry.setPolicy({ mode: "off" }, { ...change, ifMatch }),
      registry.remove(b, { ...change, ifMatch }),
    ]) {
      await expect(late).rejects.toMatchObject({ code: "ATPATCH_REVISION_MISMATCH" });
    }
  });

  it("applies racing changes one after the other, each on the outcome of the one before", async () => {
    const ids = Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? a : b));
    const snapshots = await Promise.all(ids.map((id) => registry.activate(id, change)));
    expect(snapshots.map(({ revision, active }) => [revision, active])).toEqual(
      ids.map((id, index) => [index + 1, id]),
    );
    const history = (await registry.history()).filter(({ action }) => action === "activated").reverse();
    for (const [index, entry] of history.entries()) {
      expect(entry.before).toEqual(
        index === 0 ? { active: null, previous: null, policy: defaultPolicy } : history[index - 1]?.after,
      );
    }
  });

  it.each<[string, () => void]>([
    [
      "publishing fails",
      () => {
        host.before = (operation) => {
          if (operation === "publish") throw new Error("boom");
        };
      },
    ],
    ["the log fails", () => (store.beforeAppend = () => Promise.reject(new Error("boom")))],
  ])("stays with the old detector when %s", async (_fault, breakIt) => {
    await registry.activate(a, change);
    const before = registry.snapshot();
    const length = (await registry.history()).length;
    breakIt();
    await expect(registry.activate(b, change)).rejects.toThrow("boom");
    await settle();
    expect(registry.snapshot()).toEqual(before);
    expect(registry.lease().value).toMatchObject({ detector: a, revision: 1 });
    expect(await registry.history()).toHaveLength(length);
    expect([...host.published]).toEqual([a]);
    expect(events).toHaveLength(1);
    host.before = () => {};
    store.beforeAppend = () => {};
    expect(await registry.activate(b, change)).toMatchObject({ revision: 2, active: b, previous: a });
  });
});
