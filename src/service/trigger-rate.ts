/** The figures of the last seconds as events, while somebody listens. */
import type { Totals } from "./counters.ts";
import type { EventBus } from "./events.ts";
import type { ServedModel } from "./models.ts";

const periodMs = 2_000;

/** Publishes `trigger_rate` for every model, every two seconds; events of the moment, not kept. */
export function publishTriggerRates(events: EventBus, models: readonly ServedModel[]): void {
  events.whileHeard(() => {
    const last = new Map<string, Totals>(models.map(({ name, counters }) => [name, counters.totals]));
    const tell = (): void => {
      for (const { name, registry, counters } of models) {
        const { requests, samples, triggered } = counters.totals;
        const before = last.get(name)!;
        last.set(name, { requests, samples, triggered });
        const grown = {
          requests: requests - before.requests,
          samples: samples - before.samples,
          triggered: triggered - before.triggered,
        };
        const rate = grown.samples === 0 ? null : grown.triggered / grown.samples;
        const { active, revision } = registry.snapshot();
        const data = { model: name, detector: active, revision, seconds: periodMs / 1000, ...grown, rate };
        events.publish("trigger_rate", data, { keep: false });
      }
    };
    const timer = setInterval(tell, periodMs);
    return () => clearInterval(timer);
  });
}
