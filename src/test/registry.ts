/** A registry on memory whose store and host can be made to fail or to wait. */
import type { ControlDraft, ControlEntry } from "../detector/control-log.ts";
import { MemoryStore } from "../detector/memory-store.ts";
import { DetectorRegistry } from "../detector/registry.ts";
import { exampleDescription } from "./bundles.ts";
import type { MemoryHost } from "./detector-host.ts";

/** A store whose log can be made to fail or to wait. */
export class FailingStore extends MemoryStore {
  beforeAppend: (draft: ControlDraft) => Promise<void> | void = () => {};

  override async append(draft: ControlDraft): Promise<ControlEntry> {
    await this.beforeAppend(draft);
    return super.append(draft);
  }
}

/** The registry of a model "signs", with a clock that stands still. */
export function openRegistry(
  store: MemoryStore,
  host: MemoryHost,
  warn: (message: string) => void = () => {},
): Promise<DetectorRegistry> {
  const clock = () => new Date("2026-05-01T12:00:00.000Z");
  return DetectorRegistry.open({
    model: "signs",
    store,
    host,
    description: exampleDescription(),
    clock,
    warn,
  });
}

/** Lets everything that is under way without waiting for a timer come to its end. */
export function settle(): Promise<void> {
  return new Promise((done) => setTimeout(done, 1));
}
