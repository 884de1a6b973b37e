/** What every answer says of its run beside the body: headers over HTTP, metadata over gRPC. */
import type { Timings } from "./timings.ts";

export interface Outcome {
  readonly detector: string | null;
  readonly triggered: number;
  readonly samples: number;
  readonly timings: Timings;
}

/** @param startedAt when the request arrived, on the `performance.now()` clock */
export function outcomeHeaders(outcome: Outcome, startedAt: number): Record<string, string> {
  const { detector, triggered, samples, timings } = outcome;
  const timing = { queue: timings.queueMs, infer: timings.inferMs, total: performance.now() - startedAt };
  return {
    "x-atpatch-detector": detector ?? "none",
    "x-atpatch-triggered": `${triggered}/${samples}`,
    "server-timing": Object.entries(timing)
      .map(([name, milliseconds]) => `${name};dur=${milliseconds.toFixed(2)}`)
      .join(", "),
  };
}
