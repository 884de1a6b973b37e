/** Entry of a worker thread: one session, one message after the other is dealt with. Nothing but this file runs at import. */
import { parentPort, workerData, type MessagePort } from "node:worker_threads";
import { AtPatchError, messageOf } from "../shared/errors.ts";
import { standBack } from "../shared/thread-priority.ts";
import { PatchedSession } from "./ort-session.ts";
import type { FromWorker, RunMessage, ToWorker, WorkerStart } from "./protocol.ts";
import { resultTransfers } from "./transfer.ts";

const kinds: readonly ToWorker["kind"][] = ["publish", "retire", "run", "stop"];

if (parentPort === null) throw new Error("this file is the entry of a worker thread");
await serve(parentPort, workerData as WorkerStart);

async function serve(port: MessagePort, start: WorkerStart): Promise<void> {
  standBack(2);
  const post = (message: FromWorker, transfers: ArrayBuffer[] = []): void =>
    port.postMessage(message, transfers);
  let session: PatchedSession;
  try {
    session = await PatchedSession.create(start);
  } catch (error) {
    post({ kind: "unusable", message: messageOf(error) });
    port.close();
    return;
  }
  const handle = async (message: ToWorker): Promise<void> => {
    switch (message.kind) {
      case "publish":
        return session.publish(message.detector, message.tensors);
      case "retire":
        session.retire(message.detector);
        return post({ kind: "acknowledged" });
      case "run":
        return answer(session, message, post);
      case "stop":
        return session.release().finally(() => port.close());
    }
  };
  // The next run may be here before the present one has ended; what fails outside a run ends the thread.
  let before = Promise.resolve();
  // Messages sent before this listener is there wait in the port.
  port.on("message", (message: ToWorker) => {
    if (!kinds.includes(message.kind)) throw new Error("a worker got a message of no known kind");
    before = before.then(() => handle(message));
  });
  post({ kind: "ready", outputs: session.outputs });
}

async function answer(
  session: PatchedSession,
  message: RunMessage,
  post: (message: FromWorker, transfers?: ArrayBuffer[]) => void,
): Promise<void> {
  try {
    const outcome = await session.run(message);
    post({ kind: "done", outcome }, resultTransfers(outcome));
  } catch (error) {
    const code = error instanceof AtPatchError ? error.code : "ATPATCH_INTERNAL";
    post({ kind: "failed", code, message: messageOf(error) });
  }
}
