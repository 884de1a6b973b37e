/** Bundles that come with a model: taken over once, before anybody has changed anything. */
import { AtPatchError } from "../shared/errors.ts";
import { parseBundle } from "./bundle.ts";
import type { DetectorRegistry } from "./registry.ts";

export interface ShippedResult {
  /** Ids stored, in the order given. */
  readonly imported: readonly string[];
  /** The detector activated, or null. */
  readonly active: string | null;
  /** One sentence for each bundle that could not be used. */
  readonly warnings: readonly string[];
}

/**
 * Stores bundles shipped with the model and activates the newest of them by `provenance.createdAt` (the last given when
 * that does not decide). Does nothing once the model is past revision 0. A bundle that is broken or does not fit is
 * skipped with a warning; what the store itself throws is passed on.
 */
export async function importShipped(
  registry: DetectorRegistry,
  bundles: readonly Uint8Array[],
): Promise<ShippedResult> {
  const imported: string[] = [];
  const warnings: string[] = [];
  if (registry.snapshot().revision > 0) return { imported, active: null, warnings };
  const change = { actor: "shipped", reason: "shipped with the model" };
  let newest: { id: string; createdAt: string } | null = null;
  for (const [index, bytes] of bundles.entries()) {
    try {
      const { id } = await registry.upload(bytes, change);
      imported.push(id);
      const { createdAt } = parseBundle(bytes).metadata.provenance;
      const time = typeof createdAt === "string" ? createdAt : "";
      if (newest === null || time >= newest.createdAt) newest = { id, createdAt: time };
    } catch (error) {
      if (!isFaultOfBundle(error)) throw error;
      warnings.push(`shipped detector ${index + 1} of ${bundles.length} is not used: ${error.message}`);
    }
  }
  if (newest !== null) await registry.activate(newest.id, change);
  return { imported, active: newest?.id ?? null, warnings };
}

function isFaultOfBundle(error: unknown): error is AtPatchError {
  const codes: readonly string[] = ["ATPATCH_BAD_BUNDLE", "ATPATCH_BUNDLE_MISMATCH", "ATPATCH_SELF_TEST"];
  return error instanceof AtPatchError && codes.includes(error.code);
}
