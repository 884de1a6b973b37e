/** Compressed bodies, both ways: gzip and deflate. The body limit holds for what comes out of the compression. */
import compress from "@fastify/compress";
import { AtPatchError } from "../shared/errors.ts";
import type { App } from "./services.ts";

const encodings: ("gzip" | "deflate")[] = ["gzip", "deflate"];

/** Smaller answers, in bytes, are not worth the time. */
const threshold = 256;

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
}
