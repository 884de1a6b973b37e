/** Failures as gRPC statuses; the code of the catalogue travels in the trailer `atpatch-code`. */
import { Metadata, status as codes, type StatusObject } from "@grpc/grpc-js";
import { AtPatchError, type ErrorCode } from "../shared/errors.ts";

/** Status of every code of the catalogue. */
export const statusOf: Readonly<Record<ErrorCode, codes>> = {
  ATPATCH_BAD_INPUT: codes.INVALID_ARGUMENT,
  ATPATCH_UNAUTHENTICATED: codes.UNAUTHENTICATED,
  ATPATCH_FORBIDDEN: codes.PERMISSION_DENIED,
  ATPATCH_NOT_FOUND: codes.NOT_FOUND,
  ATPATCH_UNKNOWN_MODEL: codes.NOT_FOUND,
  ATPATCH_UNKNOWN_DETECTOR: codes.NOT_FOUND,
  ATPATCH_CONFLICT: codes.FAILED_PRECONDITION,
  ATPATCH_REVISION_MISMATCH: codes.ABORTED,
  ATPATCH_TOO_LARGE: codes.RESOURCE_EXHAUSTED,
  ATPATCH_UNSUPPORTED_MEDIA: codes.INVALID_ARGUMENT,
  ATPATCH_UNPROCESSABLE: codes.INVALID_ARGUMENT,
  ATPATCH_QUEUE_FULL: codes.RESOURCE_EXHAUSTED,
  ATPATCH_RATE_LIMITED: codes.RESOURCE_EXHAUSTED,
  ATPATCH_NOT_READY: codes.UNAVAILABLE,
  ATPATCH_DEADLINE: codes.DEADLINE_EXCEEDED,
  ATPATCH_INTERNAL: codes.INTERNAL,
  ATPATCH_BAD_MODEL: codes.INTERNAL,
  ATPATCH_MODEL_REFUSED: codes.INTERNAL,
  ATPATCH_BAD_BUNDLE: codes.INVALID_ARGUMENT,
  ATPATCH_BUNDLE_MISMATCH: codes.FAILED_PRECONDITION,
  ATPATCH_SELF_TEST: codes.FAILED_PRECONDITION,
  ATPATCH_BAD_DEBUG_SET: codes.INVALID_ARGUMENT,
  ATPATCH_TRAINING: codes.FAILED_PRECONDITION,
  ATPATCH_BAD_SETTINGS: codes.INTERNAL,
};

/** Milliseconds after which a refused caller may try again. */
const pushback: Partial<Readonly<Record<ErrorCode, number>>> = {
  ATPATCH_QUEUE_FULL: 1000,
  ATPATCH_RATE_LIMITED: 10_000,
  ATPATCH_NOT_READY: 2000,
};

/** The catalogue's view of anything that was thrown while the call `id` was handled. */
export function toAtPatchError(error: unknown, id: string): AtPatchError {
  if (error instanceof AtPatchError) return error;
  const what = `an internal failure; the log names it under request ${id}`;
  return new AtPatchError("ATPATCH_INTERNAL", what, { cause: error });
}

export function toStatus(error: AtPatchError): StatusObject {
  const metadata = new Metadata();
  metadata.set("atpatch-code", error.code);
  const wait = pushback[error.code];
  if (wait !== undefined) metadata.set("grpc-retry-pushback-ms", String(wait));
  return { code: statusOf[error.code], details: error.message, metadata };
}
