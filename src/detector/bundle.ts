/** The file a detector travels in: safetensors whose metadata says what it is, for which model, and how good it is. */
import type { DetectorTensors } from "../shared/detector-tensors.ts";

/** What a bundle says about itself; stored as the safetensors metadata entry `atpatch` (one JSON document). */
export interface BundleMetadata {
  /** Format version of this document. */
  readonly format: 1;
  /** Fingerprint of the model the detector fits (`PatchDescription.fingerprint`). */
  readonly model: string;
  /** Sites of that model, and those at which the detector runs. */
  readonly sites: number;
  readonly detectionSites: readonly number[];
  readonly features: "attention" | "value" | "attention+value";
  readonly kernel: 1 | 3;
  readonly reference: "benign" | "attention-only" | "zero";
  /** Key positions the reference is bound to, or null when it fits any length. */
  readonly keys: number | null;
  readonly thresholds: readonly { readonly site: number; readonly gate: number; readonly column: number }[];
  /** Who made it: tool version, time, seed, debug set digest, options. */
  readonly provenance: Readonly<Record<string, unknown>>;
  /** Evaluation report of the training run. */
  readonly report: Readonly<Record<string, unknown>>;
}

export interface Bundle {
  /** "sha256-" + 64 hex digits over the file. */
  readonly id: string;
  readonly metadata: BundleMetadata;
  readonly tensors: DetectorTensors;
}
