import { beforeEach, describe, expect, it } from "vitest";
import { exampleBundle, exampleDescription, exampleMetadata, exampleTensors } from "../test/bundles.ts";
import { MemoryHost } from "../test/detector-host.ts";
import { bundleId, encodeBundle } from "./bundle.ts";
import { MemoryStore } from "./memory-store.ts";
import { DetectorRegistry } from "./registry.ts";
import { importShipped } from "./shipped.ts";

const made = (seed: number, createdAt: string) =>
  encodeBundle({ ...exampleMetadata(), provenance: { createdAt } }, exampleTensors(seed));

describe("shipped detectors", () => {
  let store: MemoryStore;
  let host: MemoryHost;
  const open = () =>
    DetectorRegistry.open({ model: "signs", store, host, description: exampleDescription() });

  beforeEach(() => {
    store = new MemoryStore();
    host = new MemoryHost();
  });

  it("are stored, and the newest is activated", async () => {
    const bundles = [
      made(1, "2026-01-02T00:00:00Z"),
      made(2, "2026-03-01T00:00:00Z"),
      made(3, "2026-02-01T00:00:00Z"),
    ];
    const ids = bundles.map(bundleId);
    const registry = await open();
    expect(await importShipped(registry, bundles)).toEqual({ imported: ids, active: ids[1], warnings: [] });
    expect(registry.snapshot()).toMatchObject({ revision: 1, active: ids[1], previous: null });
    expect(await registry.history({ limit: 1 })).toMatchObject([
      { actor: "shipped", action: "activated", reason: "shipped with the model" },
    ]);
  });

  it("are left alone once somebody has changed something", async () => {
    const registry = await open();
    await registry.setPolicy({ mode: "observe" }, { actor: "alice" });
    expect(await importShipped(registry, [exampleBundle()])).toEqual({
      imported: [],
      active: null,
      warnings: [],
    });
    expect(await registry.list()).toEqual([]);
  });

  it("are activated at the next start when the first one died halfway", async () => {
    const bundle = exampleBundle();
    await (await open()).upload(bundle, { actor: "shipped" });
    const registry = await open();
    expect(await importShipped(registry, [bundle])).toMatchObject({ active: bundleId(bundle) });
    await registry.activate(null, { actor: "alice" });
    expect(await importShipped(await open(), [bundle])).toMatchObject({ active: null });
  });

  it("that cannot be used are warned about and skipped", async () => {
    const fine = exampleBundle(1);
    const foreign = exampleBundle(0, exampleDescription("another model"));
    const registry = await open();
    const result = await importShipped(registry, [fine, foreign, Uint8Array.of(1)]);
    expect(result).toMatchObject({ imported: [bundleId(fine)], active: bundleId(fine) });
    expect(result.warnings).toEqual([
      expect.stringMatching(
        /^shipped detector 2 of 3 is not used: the bundle does not fit: it was made for the model/,
      ),
      expect.stringMatching(/^shipped detector 3 of 3 is not used: safetensors: /),
    ]);
  });

  it("change nothing when there are none or none fits", async () => {
    const registry = await open();
    expect(await importShipped(registry, [])).toEqual({ imported: [], active: null, warnings: [] });
    expect((await importShipped(registry, [Uint8Array.of(1)])).active).toBeNull();
    expect(registry.snapshot()).toMatchObject({ revision: 0, active: null });
  });

  it("do not hide a failure of the server itself", async () => {
    host.before = () => {
      throw new Error("worker died");
    };
    await expect(importShipped(await open(), [exampleBundle()])).rejects.toThrow("worker died");
  });
});
