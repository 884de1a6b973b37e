/** Entry of a worker thread: one session, one message after the other. Nothing but this file runs at import. */
import { parentPort, workerData, type MessagePort } from "node:worker_threads";
import { AtPatchError, messageOf } from "../shared/errors.ts";
import { standBack } from "../shared/thread-priority.ts";
import { PatchedSession } from "./ort-session.ts";
import type { FromWorker, RunMessage, ToWorker, WorkerStart } from "./protocol.ts";
import { resultTransfers } from "./transfer.ts";

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
  // Messages sent before this listener is there wait in the port.
  port.on("message", (message: ToWorker) => {
    switch (message.kind) {
      case "publish":
        session.publish(message.detector, message.tensors);
        return;
      case "retire":
        session.retire(message.detector);
        post({ kind: "acknowledged" });
        return;
      case "run":
        void answer(session, message, post);
        return;
      case "stop":
        void session.release().finally(() => port.close());
        return;
      default:
        throw new Error("a worker got a message of no known kind");
    }
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
