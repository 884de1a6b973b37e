/**
 * A process to be killed: changes the detectors and the policy of one model on a state folder as fast as it can, and writes a
 * line to stdout after each change that was acknowledged.
 */
import { writeSync } from "node:fs";
import { bundleId } from "../detector/bundle.ts";
import { FileStore } from "../detector/file-store.ts";
import { lockState } from "../detector/state-lock.ts";
import type { RegistrySnapshot } from "../detector/registry.ts";
import { DetectorRegistry } from "../detector/registry.ts";
import { exampleBundle, exampleDescription } from "./bundles.ts";
import { MemoryHost } from "./detector-host.ts";

/** One acknowledged change. */
export interface Acknowledged {
  readonly did: "started" | "uploaded" | "removed" | "changed";
  readonly detector?: string;
  readonly state: RegistrySnapshot;
}

const [root, seed] = [process.argv[2]!, Number(process.argv[3])];
let random = (seed % 2147483646) + 1;
const draw = (below: number): number => {
  random = (random * 48271) % 2147483647;
  return random % below;
};

await lockState(root);
const store = await FileStore.open({ root, model: "signs" });
const registry = await DetectorRegistry.open({
  model: "signs",
  store,
  host: new MemoryHost(),
  description: exampleDescription(),
});
const tell = (line: Omit<Acknowledged, "state">): void => {
  writeSync(1, `${JSON.stringify({ ...line, state: registry.snapshot() } satisfies Acknowledged)}\n`);
};
tell({ did: "started" });

const change = { actor: "crash", reason: `seed ${seed}` };
for (;;) {
  const stored = (await registry.list()).map(({ id }) => id);
  const some = stored[draw(Math.max(1, stored.length))] ?? null;
  switch (draw(8)) {
    case 0:
    case 1: {
      const bundle = exampleBundle(draw(1_000_000));
      await registry.upload(bundle, change);
      tell({ did: "uploaded", detector: bundleId(bundle) });
      break;
    }
    case 2:
      if (some === null || stored.length < 8) break;
      try {
        await registry.remove(some, change);
        tell({ did: "removed", detector: some });
      } catch {
        // In use: nothing was done.
      }
      break;
    case 3:
      await registry.rollback(change).catch(() => {});
      tell({ did: "changed" });
      break;
    case 4:
      await registry.setPolicy(
        { mode: (["off", "observe", "enforce"] as const)[draw(3)]!, shadow: some },
        change,
      );
      tell({ did: "changed" });
      break;
    case 5:
      await registry.setPolicy(
        {
          canary: some === null ? null : { detector: some, percent: draw(100) },
          guard: { window_s: 1 + draw(60), max_trigger_rate: 0.5 },
        },
        change,
      );
      tell({ did: "changed" });
      break;
    default:
      await registry.activate(draw(4) === 0 ? null : some, change);
      tell({ did: "changed" });
  }
}
