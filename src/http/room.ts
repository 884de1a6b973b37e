/** Refuses requests for a model that has no room for them before their bodies are read: what is refused should cost little. */
import type { FastifyRequest } from "fastify";
import type { ModelTable } from "../service/models.ts";

/**
 * A hook for routes that run a model.
 * @throws AtPatchError ATPATCH_QUEUE_FULL, ATPATCH_UNKNOWN_MODEL
 */
export function requireRoom(models: ModelTable) {
  return async (request: FastifyRequest): Promise<void> => {
    const { model, version } = request.params as { model?: string; version?: string };
    (model === undefined ? models.fallback : models.get(model, version)).engine.requireRoom();
  };
}
