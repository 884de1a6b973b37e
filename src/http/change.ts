/** Who changes something, why, and which revision they have seen. */
import type { FastifyRequest } from "fastify";
import type { Change } from "../detector/registry.ts";
import { revisionOf } from "./revision.ts";

/** @throws AtPatchError ATPATCH_BAD_INPUT for a malformed `If-Match` */
export function changeOf(request: FastifyRequest, reason?: string | null): Change {
  return {
    actor: request.principal?.name ?? "unknown",
    reason: reason ?? null,
    ifMatch: revisionOf(request.headers["if-match"]),
  };
}
