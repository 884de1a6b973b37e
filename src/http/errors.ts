/** Failures as HTTP answers: `{"error": "<text>", "code": "ATPATCH_…"}` with the status of the code, never a stack. */
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { AtPatchError, type ErrorCode } from "../shared/errors.ts";

/** HTTP status of every code of the catalogue. */
export const statusOf: Readonly<Record<ErrorCode, number>> = {
  ATPATCH_BAD_INPUT: 400,
  ATPATCH_UNAUTHENTICATED: 401,
  ATPATCH_FORBIDDEN: 403,
  ATPATCH_NOT_FOUND: 404,
  ATPATCH_UNKNOWN_MODEL: 404,
  ATPATCH_UNKNOWN_DETECTOR: 404,
  ATPATCH_CONFLICT: 409,
  ATPATCH_REVISION_MISMATCH: 412,
  ATPATCH_TOO_LARGE: 413,
  ATPATCH_UNSUPPORTED_MEDIA: 415,
  ATPATCH_UNPROCESSABLE: 422,
  ATPATCH_QUEUE_FULL: 429,
  ATPATCH_RATE_LIMITED: 429,
  ATPATCH_NOT_READY: 503,
  ATPATCH_DEADLINE: 504,
  ATPATCH_INTERNAL: 500,
  ATPATCH_BAD_MODEL: 500,
  ATPATCH_MODEL_REFUSED: 500,
  ATPATCH_BAD_BUNDLE: 400,
  ATPATCH_BUNDLE_MISMATCH: 422,
  ATPATCH_SELF_TEST: 422,
  ATPATCH_BAD_DEBUG_SET: 400,
  ATPATCH_TRAINING: 422,
  ATPATCH_BAD_SETTINGS: 500,
};

/** Seconds after which a refused caller may try again. */
const retryAfter: Partial<Readonly<Record<ErrorCode, number>>> = {
  ATPATCH_QUEUE_FULL: 1,
  ATPATCH_RATE_LIMITED: 10,
  ATPATCH_NOT_READY: 2,
};

export interface ErrorBody {
  readonly error: string;
  readonly code: ErrorCode;
}

/** What a failure's text may name of the request it belongs to. */
export interface FailedRequest {
  readonly id: string;
  readonly bodyLimit: number;
  readonly contentType: string | undefined;
}

/** The catalogue's view of anything that was thrown while a request was handled. */
export function toAtPatchError(error: unknown, request: FailedRequest): AtPatchError {
  if (error instanceof AtPatchError) return error;
  const { code = "", statusCode = 500, message = "" } = (error ?? {}) as Partial<FastifyError>;
  switch (code) {
    case "FST_ERR_CTP_BODY_TOO_LARGE":
      return new AtPatchError(
        "ATPATCH_TOO_LARGE",
        `the body is over the limit of ${request.bodyLimit} bytes`,
      );
    case "FST_ERR_CTP_INVALID_MEDIA_TYPE":
      return new AtPatchError("ATPATCH_UNSUPPORTED_MEDIA", unsupportedMedia(request.contentType));
    case "FST_ERR_CTP_EMPTY_JSON_BODY":
      return new AtPatchError("ATPATCH_BAD_INPUT", "the body is empty, expected JSON");
    case "FST_ERR_CTP_INVALID_CONTENT_LENGTH":
      return new AtPatchError("ATPATCH_BAD_INPUT", "the body is not as long as its content-length says");
    case "FST_CP_ERR_INVALID_CONTENT":
      return new AtPatchError("ATPATCH_BAD_INPUT", "the body is not packed as its content-encoding says");
    case "FST_ERR_VALIDATION":
      return new AtPatchError("ATPATCH_BAD_INPUT", message);
  }
  if (statusCode >= 400 && statusCode < 500)
    return new AtPatchError("ATPATCH_BAD_INPUT", message, { cause: error });
  if (statusCode === 503)
    return new AtPatchError("ATPATCH_NOT_READY", "the server is draining", { cause: error });
  return new AtPatchError(
    "ATPATCH_INTERNAL",
    `an internal failure; the log names it under request ${request.id}`,
    {
      cause: error,
    },
  );
}

function unsupportedMedia(type: string | undefined): string {
  const what =
    type === undefined ? "there is no content type" : `content type "${type.slice(0, 80)}" is not read here`;
  return `${what}: send content-type: application/json`;
}

/** Sends a failure. Only failures of the server itself are logged as errors. */
export function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const known = toAtPatchError(error, {
    id: request.id,
    bodyLimit: request.routeOptions.bodyLimit,
    contentType: request.headers["content-type"],
  });
  const status = statusOf[known.code];
  if (status >= 500) request.log.error({ err: known.cause ?? known, code: known.code }, "request failed");
  // Also where no hook has run: for paths that cannot be read.
  reply.header("x-request-id", request.id);
  const wait = retryAfter[known.code];
  if (wait !== undefined) reply.header("retry-after", wait);
  if (status === 401) reply.header("www-authenticate", 'Bearer realm="atpatch"');
  const body: ErrorBody = { error: known.message, code: known.code };
  return reply.code(status).type("application/json; charset=utf-8").send(body);
}

/** Makes every failure of the app, unknown routes included, an answer of the catalogue. */
export function installErrors(app: FastifyInstance): void {
  app.setErrorHandler(sendError);
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split("?", 1)[0]!.slice(0, 120);
    const error = new AtPatchError("ATPATCH_NOT_FOUND", `there is no route ${request.method} ${path}`);
    return sendError(error, request, reply);
  });
}
