/** How much memory threads that hand tensors on may let pile up. */
import type { ResourceLimits } from "node:worker_threads";

/**
 * What a run leaves behind lies outside the heap of its thread, where V8 sees little of it: a small young generation is
 * swept often, and takes it along.
 */
export const tensorThreadLimits: ResourceLimits = { maxYoungGenerationSizeMb: 6 };
