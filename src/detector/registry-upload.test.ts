import { beforeEach, describe, expect, it } from "vitest";
import { AtPatchError } from "../shared/errors.ts";
import { exampleBundle, exampleDescription } from "../test/bundles.ts";
import { MemoryHost } from "../test/detector-host.ts";
import { FailingStore, openRegistry, settle } from "../test/registry.ts";
import { bundleId } from "./bundle.ts";
import { defaultPolicy } from "./policy.ts";
import { type DetectorRegistry, type RegistryEvent } from "./registry.ts";

const [bundleA, bundleB, bundleC] = [exampleBundle(1), exampleBundle(2), exampleBundle(3)];
const [a, b, c] = [bundleId(bundleA), bundleId(bundleB), bundleId(bundleC)];
const change = { actor: "alice", reason: "incident 7" };

describe("registry: uploads", () => {
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

  it("starts without a detector, at revision 0, enforcing", () => {
    expect(registry.snapshot()).toEqual({
      model: "signs",
      revision: 0,
      active: null,
      previous: null,
      policy: { mode: "enforce", onError: "open", shadow: null, canary: null, guard: null },
    });
    const lease = registry.lease();
    expect(lease.value).toEqual({
      detector: null,
      role: "active",
      bundle: null,
      shadow: null,
      policy: defaultPolicy,
      revision: 0,
    });
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
});
