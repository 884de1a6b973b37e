/** Changes of detectors and policy as events. */
import type { RegistryEvent } from "../detector/registry.ts";
import type { EventBus } from "./events.ts";
import type { ServedModel } from "./models.ts";

/** Entries of each model's history that are told again to clients that were away while the server started. */
const recalled = 100;

/**
 * Puts the newest entries of every history on the bus, for clients that come back after a restart. What else happened
 * before it is not known any more.
 */
export async function recallChanges(events: EventBus, models: readonly ServedModel[]): Promise<void> {
  const changes: RegistryEvent[] = [];
  for (const { name, registry } of models) {
    for (const entry of await registry.history({ limit: recalled })) changes.push({ model: name, entry });
  }
  changes.sort(
    (a, b) => Date.parse(a.entry.at) - Date.parse(b.entry.at) || a.entry.sequence - b.entry.sequence,
  );
  for (const change of changes) publishChange(events, change);
  events.forgetBefore(new Date());
}

/** Publishes every change from now on, after it became visible. */
export function publishChanges(events: EventBus, models: readonly ServedModel[]): void {
  for (const { registry } of models) registry.subscribe((change) => publishChange(events, change));
}

/** Named by the action; the data is the history entry with the model's name. */
function publishChange(events: EventBus, { model, entry }: RegistryEvent): void {
  events.publish(entry.action, { model, ...entry }, { at: new Date(entry.at) });
}
