/**
 * The error catalogue: every failure a caller can meet has a stable code and one sentence that says what to do.
 * How a code becomes an HTTP status or an exit code is decided by the front ends, not here.
 */
export const errorCodes = {
  ATPATCH_BAD_INPUT: "the request is malformed",
  ATPATCH_UNAUTHENTICATED: "a bearer token is needed",
  ATPATCH_FORBIDDEN: "the token lacks the scope",
  ATPATCH_NOT_FOUND: "there is no such route or object",
  ATPATCH_UNKNOWN_MODEL: "no model of that name is served",
  ATPATCH_UNKNOWN_DETECTOR: "no detector of that id is stored",
  ATPATCH_CONFLICT: "the object is in use",
  ATPATCH_REVISION_MISMATCH: "somebody else changed the model first",
  ATPATCH_TOO_LARGE: "the body is over the limit",
  ATPATCH_UNSUPPORTED_MEDIA: "the content type is not supported",
  ATPATCH_UNPROCESSABLE: "the values do not fit the model",
  ATPATCH_QUEUE_FULL: "the queue is full",
  ATPATCH_RATE_LIMITED: "too many wrong tokens came from the address",
  ATPATCH_NOT_READY: "the server is starting or draining",
  ATPATCH_DEADLINE: "the deadline passed before the answer was ready",
  ATPATCH_INTERNAL: "an internal failure",
  ATPATCH_BAD_MODEL: "the model file is broken",
  ATPATCH_MODEL_REFUSED: "the model cannot be patched",
  ATPATCH_BAD_BUNDLE: "the detector bundle is broken",
  ATPATCH_BUNDLE_MISMATCH: "the detector bundle was made for another model",
  ATPATCH_SELF_TEST: "the detector bundle failed its self-test",
  ATPATCH_BAD_DEBUG_SET: "the debug set is broken",
  ATPATCH_TRAINING: "no detector could be fitted",
  ATPATCH_BAD_SETTINGS: "a setting has a wrong value",
} as const;

export type ErrorCode = keyof typeof errorCodes;

/** A failure with a stable code. `message` is safe to show to a caller: no path, no stack, no input data. */
export class AtPatchError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "AtPatchError";
    this.code = code;
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
