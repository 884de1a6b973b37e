/**
 * How much of request bodies may be in memory together. Each is limited by itself, but a thousand connections may send one
 * each, and send slowly.
 */
import { Transform, type Readable } from "node:stream";
import type { preParsingAsyncHookHandler } from "fastify";
import { AtPatchError } from "../shared/errors.ts";
import { addUnpackedHook } from "./compress.ts";
import type { App } from "./services.ts";

/** Bodies that say they are no longer than this, in bytes, are not counted: a connection holds about as much itself. */
const small = 64 * 1024;

/**
 * Counts bodies as they come in, unpacked, until their requests are answered. The one that goes over the limit is refused with
 * ATPATCH_QUEUE_FULL. To be installed after the compression.
 * @param limit in bytes
 */
export function installBodyMemory(app: App, limit: number): void {
  let held = 0;
  const count: preParsingAsyncHookHandler = async ({ headers }, reply, payload) => {
    const isPlain = headers["content-encoding"] === undefined;
    if (isPlain && Number(headers["content-length"] ?? Infinity) <= small) return payload;
    let own = 0;
    const counter = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        if (held + chunk.length > limit) return done(full());
        held += chunk.length;
        own += chunk.length;
        done(null, chunk);
      },
    });
    reply.raw.once("close", () => (held -= own));
    return follow(payload, counter);
  };
  addUnpackedHook(app, count);
}

/**
 * `counter` fed by `payload`, which is not destroyed with it: it may be the connection, and the refusal has to be sent. What
 * still comes is thrown away.
 */
function follow(payload: Readable & { receivedEncodedLength?: number }, counter: Transform): Transform {
  payload.once("error", (error) => counter.destroy(error));
  counter.once("error", () => {
    payload.unpipe(counter);
    payload.resume();
  });
  // The framework compares the length that was announced with that of the packed body.
  if (payload.receivedEncodedLength !== undefined) {
    Object.defineProperty(counter, "receivedEncodedLength", { get: () => payload.receivedEncodedLength });
  }
  return payload.pipe(counter);
}

function full(): AtPatchError {
  const what = "other requests' bodies fill the memory there is for them; try again later";
  return new AtPatchError("ATPATCH_QUEUE_FULL", what);
}
