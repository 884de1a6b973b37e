/** Compressed bodies, both ways: gzip and deflate. The body limit holds for what comes out of the compression. */
import compress from "@fastify/compress";
import type { preParsingAsyncHookHandler } from "fastify";
import { AtPatchError } from "../shared/errors.ts";
import type { App } from "./services.ts";

const encodings: ("gzip" | "deflate")[] = ["gzip", "deflate"];

/** Smaller answers, in bytes, are not worth the time; those of inference are never. */
const threshold = 128;

export async function installCompression(app: App): Promise<void> {
  await app.register(compress, {
    encodings,
    threshold,
    // Tensors hardly get smaller by trying harder.
    zlibOptions: { level: 1 },
    requestEncodings: [...encodings, "identity"],
    onUnsupportedRequestEncoding: (encoding) =>
      new AtPatchError(
        "ATPATCH_UNSUPPORTED_MEDIA",
        `content-encoding "${encoding.slice(0, 40)}" is not read here: send gzip, deflate or none`,
      ),
  });
  addUnpackedHook(app, stopUnpacking);
}

/** Adds a hook that gets the unpacked body: behind that of the library, which puts itself in front of a route's own. */
export function addUnpackedHook(app: App, hook: preParsingAsyncHookHandler): void {
  app.addHook("onRoute", (route) => {
    route.preParsing = [route.preParsing ?? [], hook].flat();
  });
}

/**
 * Ends the unpacking with the answer. A body over the limit is answered at once, but nobody would stop the rest of it,
 * which may be a thousand times as long, from being unpacked for nobody.
 */
const stopUnpacking: preParsingAsyncHookHandler = async (request, reply, payload) => {
  if (payload !== request.raw && "destroy" in payload) {
    const unpacking = payload as NodeJS.ReadableStream & { destroy(): void };
    reply.raw.once("finish", () => unpacking.destroy());
    reply.raw.once("close", () => unpacking.destroy());
  }
  return payload;
};
