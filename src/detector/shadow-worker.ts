/** The scoring thread: one for the process, for all models, so that scoring never takes more than one core. */
import { parentPort, workerData } from "node:worker_threads";
import { standBack } from "../shared/thread-priority.ts";
import { ScoringSession, type Scorer } from "./score.ts";
import type { FromShadowWorker, ToShadowWorker } from "./shadow-protocol.ts";

// Behind inference, which requests wait for.
standBack(5);
const port = parentPort!;
const scorers = new Map<string, Scorer>();
const session = await ScoringSession.create(workerData as Uint8Array);

// Messages sent before this listener is there wait in the port.
port.on("message", (message: ToShadowWorker) => {
  switch (message.kind) {
    case "learn":
      scorers.set(message.detector, message.scorer);
      return;
    case "forget":
      scorers.delete(message.detector);
      return;
    case "score":
      // What fails ends the thread, and the server starts another one.
      void score(message);
  }
});

async function score({
  job,
  detector,
  reports,
  batch,
}: Extract<ToShadowWorker, { kind: "score" }>): Promise<void> {
  const scorer = scorers.get(detector);
  const gates = scorer === undefined ? null : await session.gates(scorer, reports, batch);
  port.postMessage({ job, gates } satisfies FromShadowWorker);
}
