/** The file a detector travels in: safetensors whose metadata says what it is, for which model, and how good it is. */
import {
  detectorTensorNames,
  forcedColumns,
  settingIndex,
  usesAttention,
  type DetectorTensors,
} from "../shared/detector-tensors.ts";
import { sha256 } from "../shared/digest.ts";
import { AtPatchError, messageOf } from "../shared/errors.ts";
import type { PatchDescription } from "../shared/patched-model.ts";
import type { Tensor } from "../shared/tensor.ts";
import { readSafetensors, writeSafetensors, type Safetensors } from "../shared/safetensors.ts";
import { parseBundleMetadata } from "./bundle-metadata.ts";
import { checkDetectorTensors } from "./bundle-tensors.ts";

/** Most bytes of a bundle: 64 MiB, enough for a full reference of a base-sized vision transformer. */
export const maxBundleBytes = 64 << 20;

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
  /** Key positions the reference is bound to (of the widest site), or null when it fits any length. */
  readonly keys: number | null;
  /** Key columns that are repaired in every sample, whatever is scored; none when absent. */
  readonly forced?: readonly number[];
  readonly thresholds: readonly { readonly site: number; readonly gate: number; readonly column: number }[];
  /** Who made it: tool version, time (`createdAt`, ISO 8601), seed, debug set digest, options. */
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

/** Id of a bundle: "sha256-" and the digest of the file. */
export function bundleId(bytes: Uint8Array): string {
  return `sha256-${sha256(bytes)}`;
}

/**
 * Writes a bundle; the same detector always gives the same bytes.
 * @throws AtPatchError ATPATCH_BAD_BUNDLE for what `parseBundle` would refuse
 */
export function encodeBundle(metadata: BundleMetadata, tensors: DetectorTensors): Uint8Array {
  const named = new Map<string, Tensor>(detectorTensorNames.map((name) => [name, tensors[name]]));
  if (tensors.forced) named.set("forced", tensors.forced);
  const atpatch = JSON.stringify(metadata);
  checkAgreement(parseBundleMetadata(atpatch), checkDetectorTensors(named));
  const bytes = asBundleFault(() => writeSafetensors(named, { atpatch }));
  checkSize(bytes);
  return bytes;
}

/**
 * Reads a bundle and checks all that can be checked without the model.
 * @throws AtPatchError ATPATCH_BAD_BUNDLE naming the tensor or field and what was expected
 */
export function parseBundle(bytes: Uint8Array): Bundle {
  checkSize(bytes);
  const file: Safetensors = asBundleFault(() => readSafetensors(bytes));
  const metadata = parseBundleMetadata(file.metadata["atpatch"]);
  const tensors = checkDetectorTensors(file.tensors);
  checkAgreement(metadata, tensors);
  return { id: bundleId(bytes), metadata, tensors };
}

/**
 * Checks that a bundle was made for the model described.
 * @throws AtPatchError ATPATCH_BUNDLE_MISMATCH saying what was expected
 */
export function checkFits({ metadata, tensors }: Bundle, description: PatchDescription): void {
  const { fingerprint, sites } = description;
  if (metadata.model !== fingerprint) {
    throw mismatch(`it was made for the model ${metadata.model}, this one is ${fingerprint}`);
  }
  if (metadata.sites !== sites.length) {
    throw mismatch(`it was made for ${metadata.sites} attention sites, the model has ${sites.length}`);
  }
  const heads = Math.max(...sites.map((site) => site.heads ?? Infinity));
  const given = tensors.reference_attention.shape[1] ?? 0;
  if (given !== 1 && Number.isFinite(heads) && given !== heads) {
    throw mismatch(`its reference has ${given} heads, the model has ${heads}`);
  }
}

/** What the metadata says about the tensors must hold. */
function checkAgreement(metadata: BundleMetadata, tensors: DetectorTensors): void {
  const slots = Array.from(tensors.slot.data, Number);
  if (slots.length !== metadata.sites) {
    throw bad(`tensor slot: expected ${metadata.sites} sites as the metadata says, got ${slots.length}`);
  }
  const detecting = slots.flatMap((row, site) => (row < 0 ? [] : [site])).join(", ");
  if (metadata.detectionSites.join(", ") !== detecting) {
    throw bad(
      `tensor slot: detects at the sites [${detecting}], the metadata says [${metadata.detectionSites.join(", ")}]`,
    );
  }
  const kernel = tensors.conv1_weight.shape[3];
  if (kernel !== metadata.kernel) {
    throw bad(
      `tensor conv1_weight: expected a kernel of ${metadata.kernel} as the metadata says, got ${kernel}`,
    );
  }
  if (metadata.features === "value" && usesAttention(tensors.feature_scale).some(Boolean)) {
    throw bad('tensor feature_scale: expected 0 for features of attention, the metadata says "value"');
  }
  for (const { site, gate, column } of metadata.thresholds) {
    const row = 2 * (slots[site] ?? 0);
    const { data } = tensors.thresholds;
    if (data[row] !== Math.fround(gate) || data[row + 1] !== Math.fround(column)) {
      throw bad(`tensor thresholds: site ${site} has other values than the metadata`);
    }
  }
  checkReference(metadata, tensors);
  checkForced(metadata, tensors);
}

function checkForced({ forced = [], keys }: BundleMetadata, tensors: DetectorTensors): void {
  const columns = forcedColumns(tensors);
  if (columns.join(", ") !== forced.join(", ")) {
    throw bad(`tensor forced: forces [${columns.join(", ")}], the metadata says [${forced.join(", ")}]`);
  }
  if (tensors.forced && tensors.forced.shape[0] !== keys) {
    throw bad(`tensor forced: expected the ${keys ?? "fixed number of"} key positions of the reference`);
  }
}

function checkReference(metadata: BundleMetadata, tensors: DetectorTensors): void {
  const { reference_attention: attention, reference_value: value, settings } = tensors;
  const keys = metadata.keys ?? 1;
  for (const [name, size] of Object.entries({
    reference_attention: attention.shape[3],
    reference_value: value.shape[2],
  })) {
    if (size !== 1 && size !== keys) {
      throw bad(`tensor ${name}: expected 1${keys > 1 ? ` or ${keys}` : ""} key positions, got ${size}`);
    }
  }
  const replaces = settings.data[settingIndex.replaceValue] === 1;
  if (metadata.reference !== "zero" && replaces !== (metadata.reference === "benign")) {
    throw bad(`tensor settings: replaceValue contradicts the reference "${metadata.reference}"`);
  }
  if (metadata.reference === "zero" && (attention.data as Float32Array).some((mass) => mass !== 0)) {
    throw bad('tensor reference_attention: expected zeros for the reference "zero"');
  }
}

function checkSize(bytes: Uint8Array): void {
  if (bytes.length > maxBundleBytes) {
    throw bad(`a bundle may have ${maxBundleBytes} bytes, got ${bytes.length}`);
  }
}

function asBundleFault<T>(run: () => T): T {
  try {
    return run();
  } catch (cause) {
    throw new AtPatchError("ATPATCH_BAD_BUNDLE", messageOf(cause), { cause });
  }
}

function bad(message: string): AtPatchError {
  return new AtPatchError("ATPATCH_BAD_BUNDLE", message);
}

function mismatch(message: string): AtPatchError {
  return new AtPatchError("ATPATCH_BUNDLE_MISMATCH", `the bundle does not fit: ${message}`);
}
