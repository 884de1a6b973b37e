import type { TensorInfo } from "./tensor.ts";

/** A site as callers outside the graph world see it. */
export interface SiteDescription {
  readonly index: number;
  readonly layer: number;
  readonly kind: "self" | "cross";
  readonly form: string;
  readonly rank: number;
  readonly dims: string;
  readonly heads: number | null;
  /** Key positions Tk, when the graph fixes them. */
  readonly keys?: number | null;
  readonly where: string;
  /** Key axis: sites with the same number see the same tokens. */
  readonly axis: number;
  readonly node: string;
  readonly mask: string;
}

/** What a patched model looks like from outside; plain data, so that it crosses threads. */
export interface PatchDescription {
  /** Inputs and outputs of the original model, in its order. */
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  readonly sites: readonly SiteDescription[];
  /** Whether no sample of a batch has a part in the outputs of another, so that requests may share a run. */
  readonly independent: boolean;
  /** Number of key axes; `force`, `flags` and `scores` exist once per axis. */
  readonly axes: number;
  /** "sha256-…" over the graph with its sites and a sample of every weight: a bundle names the model it fits by this. */
  readonly fingerprint: string;
}

/** A file beside the model that its constants are read from, and the bytes it must have at least. */
export interface ExternalFile {
  /** Relative to the folder of the model file. */
  readonly location: string;
  readonly bytes: number;
}

/** A model whose attention maps go through the hot-fix. */
export interface PatchedModel {
  readonly description: PatchDescription;
  /** The patched graph; large weights are external references into the untouched original file(s). */
  readonly bytes: Uint8Array;
  /** Files the runtime will read; to be checked before it does. */
  readonly external: readonly ExternalFile[];
}

/** Names of the graph inputs and outputs that the hot-fix adds. */
export const hotfixNames = {
  /** int32 [B]: 0 off, 1 observe, 2 enforce. */
  mode: "atpatch.mode",
  /** bool [B, T] or [B, 1]: columns to flag whatever the detector says; one input per key axis. */
  force: (axis: number) => `atpatch.force.${axis}`,
  /** int32 [B, T]: 0, or 1 + index of the first site at which the column was flagged; one output per key axis. */
  flags: (axis: number) => `atpatch.flags.${axis}`,
  /** float32 [B, T]: detector logit at the site that flagged the column, 0 elsewhere; one output per key axis. */
  scores: (axis: number) => `atpatch.scores.${axis}`,
  /** bool [3·S]: what sites are asked for, all sites for the first of {@link askedKinds}, then for the next. */
  asked: "atpatch.asked",
  /**
   * float32 [B', 11 + H·d, T], the features [φ; v] of an examined site for every sample whatever its mode, B' = B times the
   * windows of a sample; where the detector is pointwise [B', 1, T], above 0 for visible keys; empty where the site is
   * not examined; one output per site.
   */
  reported: (site: number) => `atpatch.report.${site}`,
  /** float32 [B'·T, H·d], v where the detector is pointwise; empty elsewhere; one output per site. */
  values: (site: number) => `atpatch.values.${site}`,
  /** Prefix of the detector tensors, see `detector-tensors.ts`. */
  detector: (tensor: string) => `atpatch.${tensor}`,
  /**
   * Taps of a `collect` build, per site: the map before and after the patch, float32 [B', H, Tq, Tk].
   */
  tap: (kind: TapKind, site: number) => `atpatch.tap.${kind}.${site}`,
} as const;

/**
 * What a site can be asked for. examine: to compute features, because it detects or because somebody reads them. attention: φ
 * among them, elsewhere φ tells the visible keys alone. pointwise: to detect with a detector of that form (see
 * `graph-tensors.ts`).
 */
export const askedKinds = ["examine", "attention", "pointwise"] as const;
export type AskedKind = (typeof askedKinds)[number];

/** What a `collect` build can return beside the outputs of the model. */
export const tapKinds = ["map", "patched"] as const;
export type TapKind = (typeof tapKinds)[number];

/** Modes as the graph encodes them. */
export const modeCodes = { off: 0, observe: 1, enforce: 2 } as const;
export type Mode = keyof typeof modeCodes;
