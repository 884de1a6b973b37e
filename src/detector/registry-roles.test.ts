import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { exampleBundle } from "../test/bundles.ts";
import { MemoryHost } from "../test/detector-host.ts";
import { FailingStore, openRegistry, settle } from "../test/registry.ts";
import { bundleId } from "./bundle.ts";
import { defaultPolicy } from "./policy.ts";
import type { DetectorRegistry } from "./registry.ts";
import { isInCanary } from "./roles.ts";

const bundles = [1, 2, 3].map((seed) => exampleBundle(seed));
const [a, b, c] = bundles.map(bundleId) as [string, string, string];
const change = { actor: "alice", reason: "look first" };

describe("registry: shadow and canary", () => {
  let store: FailingStore;
  let host: MemoryHost;
  let registry: DetectorRegistry;

  beforeEach(async () => {
    store = new FailingStore();
    host = new MemoryHost();
    registry = await openRegistry(store, host);
    for (const bundle of bundles) await registry.upload(bundle, change);
    await registry.activate(a, change);
    await settle();
  });

  it("has every detector of a policy published before the policy holds", async () => {
    let finish = (): void => {};
    host.before = (operation, id) =>
      operation === "publish" && id === c ? new Promise((done) => (finish = done)) : undefined;
    const set = registry.setPolicy({ canary: { detector: b, percent: 100 }, shadow: c }, change);
    await settle();
    expect([...host.published].sort()).toEqual([a, b].sort());
    expect(registry.lease("x").value).toMatchObject({ detector: a, role: "active", shadow: null });
    finish();
    await set;
    expect(registry.lease("x").value).toMatchObject({
      detector: b,
      role: "canary",
      bundle: { detectionSites: [0, 2] },
      shadow: { detector: c, sites: [0, 2] },
    });
    expect(registry.lease().value).toMatchObject({ detector: a, role: "active" });
    expect((await registry.list()).map(({ role }) => role)).toEqual(["active", "canary", "shadow"]);
    expect((await registry.describe(c)).roles).toEqual(["shadow"]);
  });

  it("refuses a policy with a detector that is not stored, as a whole", async () => {
    const missing = `sha256-${"0".repeat(64)}`;
    for (const [patch, field] of [
      [{ mode: "off", shadow: missing }, "policy.shadow: "],
      [{ mode: "off", shadow: b, canary: { detector: missing, percent: 5 } }, "policy.canary.detector: "],
    ] as const) {
      await expect(registry.setPolicy(patch, change)).rejects.toMatchObject({
        code: "ATPATCH_UNKNOWN_DETECTOR",
      });
      await expect(registry.setPolicy(patch, change)).rejects.toThrow(
        `${field}detector ${missing} is not stored`,
      );
    }
    await settle();
    expect(registry.snapshot().policy).toEqual(defaultPolicy);
    expect([...host.published]).toEqual([a]);
  });

  it("keeps what plays a role, and lets go of what plays none any more", async () => {
    await registry.setPolicy({ canary: { detector: b, percent: 100 }, shadow: c }, change);
    await expect(registry.remove(b, change)).rejects.toThrow("is the canary; change the policy first");
    await expect(registry.remove(c, change)).rejects.toMatchObject({ code: "ATPATCH_CONFLICT" });
    const running = registry.lease("x");
    await registry.setPolicy({ canary: null, shadow: null }, change);
    await settle();
    expect([...host.published].sort()).toEqual([a, b].sort());
    running.release();
    await settle();
    expect([...host.published]).toEqual([a]);
    await registry.remove(b, change);
  });

  it("comes back after a restart with its shadow and canary", async () => {
    await registry.setPolicy({ canary: { detector: b, percent: 50 }, shadow: c }, change);
    const again = new MemoryHost();
    const restarted = await openRegistry(store, again);
    expect(restarted.snapshot()).toEqual(registry.snapshot());
    expect([...again.published].sort()).toEqual([a, b, c].sort());
  });
});

describe("the canary's share", () => {
  const policy = (percent: number, detector = a) => ({ ...defaultPolicy, canary: { detector, percent } });

  it("is sticky, grows without losing anybody, and is of the size asked for", () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.integer({ min: 0, max: 100 }),
        fc.integer({ min: 0, max: 100 }),
        (key, x, y) => {
          const [less, more] = [Math.min(x, y), Math.max(x, y)];
          expect(isInCanary(policy(less), key)).toBe(isInCanary(policy(less), key));
          if (isInCanary(policy(less), key)) expect(isInCanary(policy(more), key)).toBe(true);
          expect([isInCanary(policy(0), key), isInCanary(policy(100), key)]).toEqual([false, true]);
        },
      ),
    );
    const keys = Array.from({ length: 20_000 }, (_, index) => `client-${index}`);
    const share = (detector: string): number[] =>
      keys.flatMap((key, index) => (isInCanary(policy(5, detector), key) ? [index] : []));
    // 5 % of 20 000, six standard deviations wide; and two canaries draw differently.
    const [one, other] = [share(a), new Set(share(b))];
    expect(Math.abs(one.length - 1_000)).toBeLessThan(185);
    expect(one.filter((index) => other.has(index)).length).toBeLessThan(120);
  });
});
