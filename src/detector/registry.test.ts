import { beforeEach, describe, expect, it } from "vitest";
import { AtPatchError } from "../shared/errors.ts";
import { exampleBundle, exampleDescription } from "../test/bundles.ts";
import { MemoryHost } from "../test/detector-host.ts";
import { bundleId } from "./bundle.ts";
import type { ControlDraft, ControlEntry } from "./control-log.ts";
import { MemoryStore } from "./memory-store.ts";
import { defaultPolicy } from "./policy.ts";
import { DetectorRegistry, type RegistryEvent } from "./registry.ts";

/** A store whose log can be made to fail or to wait. */
class FailingStore extends MemoryStore {
  beforeAppend: (draft: ControlDraft) => Promise<void> | void = () => {};

  override async append(draft: ControlDraft): Promise<ControlEntry> {
    await this.beforeAppend(draft);
    return super.append(draft);
  }
}

const [bundleA, bundleB, bundleC] = [exampleBundle(1), exampleBundle(2), exampleBundle(3)];
const [a, b, c] = [bundleId(bundleA), bundleId(bundleB), bundleId(bundleC)];
const change = { actor: "alice", reason: "incident 7" };
/** Lets everything that is under way without waiting for a timer come to its end. */
const settle = () => new Promise((done) => setTimeout(done, 1));

describe("registry", () => {
  let store: FailingStore;
  let host: MemoryHost;
  let registry: DetectorRegistry;
  let events: RegistryEvent[];
  const open = (warn?: (message: string) => void) =>
    DetectorRegistry.open({
      model: "signs",
      store,
      host,
      description: exampleDescription(),
      clock: () => new Date("2026-05-01T12:00:00.000Z"),
      ...(warn && { warn }),
    });
  const stored = async () => (await registry.list()).map(({ id }) => id);

  beforeEach(async () => {
    store = new FailingStore();
    host = new MemoryHost();
    registry = await open();
    events = [];
    registry.subscribe((event) => events.push(event));
  });

  it("starts without a detector, at revision 0, enforcing", () => {
    expect(registry.snapshot()).toEqual({
      model: "signs",
      revision: 0,
      active: null,
      previous: null,
      policy: { mode: "enforce", onError: "open", shadow: null, canary: null, guard: null },
    });
    const lease = registry.lease();
    expect(lease.value).toEqual({ detector: null, bundle: null, policy: defaultPolicy, revision: 0 });
    lease.release();
    expect(host.calls).toEqual([]);
  });

  describe("upload", () => {
    it("tries a detector out, stores it, and keeps it from requests", async () => {
      expect(await registry.upload(bundleA, change)).toEqual({
        id: a,
        created: true,
        report: { finite: true },
      });
      await settle();
      expect(host.calls).toEqual([`publish ${a}`, `selfTest ${a}`, `retire ${a}`]);
      expect(registry.snapshot()).toMatchObject({ revision: 0, active: null });
      expect(await registry.list()).toMatchObject([{ id: a, size: bundleA.length, role: null }]);
      expect(await registry.describe(a)).toMatchObject({ id: a, metadata: { kernel: 3 } });
      expect(await registry.content(a)).toEqual(bundleA);
    });

    it("says when it has the bytes already, and logs them once", async () => {
      await registry.upload(bundleA, change);
      expect(await registry.upload(bundleA, { actor: "bob" })).toEqual({
        id: a,
        created: false,
        report: { finite: true },
      });
      expect(await registry.history()).toMatchObject([{ action: "uploaded", detector: a, actor: "alice" }]);
      const both = await Promise.all([registry.upload(bundleB, change), registry.upload(bundleB, change)]);
      expect(both.map(({ created }) => created)).toEqual([true, false]);
    });

    it("keeps the active detector published when its bytes come again", async () => {
      await registry.upload(bundleA, change);
      await registry.activate(a, change);
      await registry.upload(bundleA, change);
      await settle();
      expect([...host.published]).toEqual([a]);
    });

    it.each<[string, () => Uint8Array, string]>([
      ["broken", () => bundleA.subarray(0, 500), "ATPATCH_BAD_BUNDLE"],
      [
        "made for another model",
        () => exampleBundle(0, exampleDescription("other")),
        "ATPATCH_BUNDLE_MISMATCH",
      ],
    ])("refuses a bundle that is %s before anybody sees it", async (_fault, bytes, code) => {
      await expect(registry.upload(bytes(), change)).rejects.toMatchObject({ code });
      expect(host.calls).toEqual([]);
      expect(await stored()).toEqual([]);
    });

    it.each(["publish", "selfTest"] as const)("stores nothing when %s fails", async (failing) => {
      host.before = (operation) => {
        if (operation === failing) throw new AtPatchError("ATPATCH_SELF_TEST", "logits are not finite");
      };
      await expect(registry.upload(bundleA, change)).rejects.toMatchObject({ code: "ATPATCH_SELF_TEST" });
      await settle();
      expect([...host.published]).toEqual([]);
      expect(host.calls.at(-1)).toBe(`retire ${a}`);
      expect([await stored(), await registry.history(), events]).toEqual([[], [], []]);
      host.before = () => {};
      expect(await registry.upload(bundleA, change)).toMatchObject({ created: true });
    });

    it("stores nothing when the log fails", async () => {
      store.beforeAppend = () => Promise.reject(new Error("disk full"));
      await expect(registry.upload(bundleA, change)).rejects.toThrow("disk full");
      expect([await stored(), await registry.history(), events]).toEqual([[], [], []]);
    });

    it("does not keep a rollback waiting for a long self-test, and cannot be activated before it has passed", async () => {
      await registry.upload(bundleA, change);
      await registry.upload(bundleB, change);
      await registry.activate(a, change);
      await registry.activate(b, change);
      let finish: (() => void) | undefined;
      host.before = (operation) =>
        operation === "selfTest" ? new Promise((done) => (finish = done)) : undefined;
      const upload = registry.upload(bundleC, change);
      await settle();
      expect(host.published.has(c)).toBe(true);
      await expect(registry.activate(c, change)).rejects.toMatchObject({ code: "ATPATCH_UNKNOWN_DETECTOR" });
      expect(await registry.rollback(change)).toMatchObject({ active: a });
      finish?.();
      expect(await upload).toMatchObject({ created: true });
    });
  });

  describe("with two detectors stored", () => {
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
      registry = await open((message) => warnings.push(message));
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
        [{ mode: "enforce", shadow: a }, "policy.shadow: expected null"],
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
      registry = await open((message) => warnings.push(message));
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
      registry = await open();
      expect(registry.snapshot()).toEqual(before);
      expect([...host.published]).toEqual([b]);
      expect(registry.lease().value).toMatchObject({ detector: b, policy: { mode: "observe" }, revision: 3 });
      expect(await registry.rollback(change)).toMatchObject({ revision: 4, active: a, previous: b });
      expect(host.published.has(a)).toBe(true);
    });

    it("does not start without the detector that was active", async () => {
      await registry.activate(a, change);
      await store.delete(a);
      await expect(open()).rejects.toMatchObject({ code: "ATPATCH_UNKNOWN_DETECTOR" });
      await store.put(bundleA);
      await expect(
        DetectorRegistry.open({ model: "signs", store, host, description: exampleDescription("retrained") }),
      ).rejects.toMatchObject({ code: "ATPATCH_BUNDLE_MISMATCH" });
      expect((await open()).snapshot()).toMatchObject({ active: a });
    });
  });
});
