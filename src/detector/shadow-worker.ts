/** The scoring thread: one for the process, for all models, so that scoring never takes more than one core. */
import { parentPort } from "node:worker_threads";
import { standBack } from "../shared/thread-priority.ts";
import { gates, type Scorer } from "./score.ts";
import type { FromShadowWorker, ToShadowWorker } from "./shadow-protocol.ts";

// Behind inference, which requests wait for.
standBack(5);
const port = parentPort!;
const scorers = new Map<string, Scorer>();

port.on("message", (message: ToShadowWorker) => {
  switch (message.kind) {
    case "learn":
      scorers.set(message.detector, message.scorer);
      return;
    case "forget":
      scorers.delete(message.detector);
      return;
    case "score": {
      const scorer = scorers.get(message.detector);
      const open = scorer === undefined ? null : gates(scorer, message.reports, message.batch);
      port.postMessage({ job: message.job, gates: open } satisfies FromShadowWorker);
    }
  }
});
