/** How bodies are read: JSON with errors people understand, and bytes for detector bundles. */
import type { FastifyRequest } from "fastify";
import { AtPatchError, messageOf } from "../shared/errors.ts";
import { checkJsonSize } from "./json-size.ts";
import type { App } from "./services.ts";

/** Reads `application/json` everywhere. */
export function installJsonBody(app: App): void {
  const read = jsonReader(app);
  app.removeContentTypeParser(["application/json", "text/plain"]);
  app.addContentTypeParser<string>(
    "application/json",
    { parseAs: "string" },
    async (_request: FastifyRequest, body: string) => read(body),
  );
}

/**
 * The framework's JSON parser, which refuses keys that reach prototypes.
 * @returns throws AtPatchError ATPATCH_BAD_INPUT, ATPATCH_TOO_LARGE, and the framework's error for an empty text
 */
export function jsonReader(app: App): (text: string) => unknown {
  const parse = app.getDefaultJsonParser("error", "error");
  return (text) => {
    checkJsonSize(text);
    let failure: Error | null = null;
    let parsed: unknown;
    // It looks at the text alone and answers at once.
    void parse(undefined as never, text, (error, value: unknown) => {
      failure = error;
      parsed = value;
    });
    if (failure === null) return parsed;
    throw text === "" ? (failure as Error) : notJson(text);
  };
}

/** A route scope in which a body without a content type is read as JSON: some inference clients send none. */
export function assumeJson(app: App): void {
  app.addHook("onRequest", async (request) => {
    request.raw.headers["content-type"] ??= "application/json";
  });
}

/** A route scope that takes raw bytes. */
export function acceptBytes(app: App, types: string[] = ["application/octet-stream"]): void {
  app.addContentTypeParser<Buffer>(types, { parseAs: "buffer" }, (_request, body, done) => {
    done(null, body);
  });
}

/** Why a body was not read; the parser of the framework does not say. */
function notJson(body: string): AtPatchError {
  const word = /(?<=[\s,:[])-?(?:NaN|Infinity)(?=[\s,\]}])/.exec(body)?.[0];
  let why = "it has the key __proto__ or constructor.prototype";
  try {
    JSON.parse(body);
  } catch (error) {
    // The message quotes the body; only its first words are kept.
    why = word
      ? `it holds ${word}, and JSON has no such number`
      : messageOf(error).replace(/,? \.*".*$/s, "");
  }
  return new AtPatchError("ATPATCH_BAD_INPUT", `the body is not JSON: ${why}`);
}
