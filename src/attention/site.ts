import type { NodeProto } from "../onnx/model.ts";

/** How the leading dimensions of a map and a value tensor are laid out before the patch brings them to [B,H,…]. */
export type LeadingDims = "B,H" | "B*H";

/** One product of the map with a value tensor: `node.input[mapInput]` is the map, `node.input[valueInput]` the values. */
export interface ValueProduct {
  readonly node: NodeProto;
  readonly mapInput: number;
  readonly valueInput: number;
}

/** One attention softmax whose map can be patched. */
export interface AttentionSite {
  /** Position in execution order, from 0. */
  readonly index: number;
  /** Layer the site belongs to: sites of one kind counted in order. */
  readonly layer: number;
  readonly kind: "self" | "cross";
  /** Operator family of the normalisation, e.g. "softmax" or "exp-sum-div". */
  readonly form: string;
  /** Where the site is: "main", later "if-branch" or "function". */
  readonly where: string;
  /** Rank of the map in the graph and the layout of its leading dimensions. */
  readonly rank: number;
  readonly leading: LeadingDims;
  /** Contract name of the layout, e.g. "B,H,Tq,Tk". */
  readonly dims: string;
  /** Heads and lengths when the graph tells them statically. */
  readonly heads: number | null;
  readonly queries: number | null;
  readonly keys: number | null;
  /** Name of the normalisation node (its first output when the node has no name). */
  readonly node: string;
  /** Tensor name of the map at the insertion point: after the last value-changing step. */
  readonly map: string;
  /** Tensor name of the values. */
  readonly value: string;
  /** The products that consume the map; almost always one. All read the same `map`. */
  readonly products: readonly ValueProduct[];
  /** Key axis identity: sites with the same number see the same tokens at the same positions. */
  readonly axis: number;
  /** Whether queries and keys are positions of the same axis (then query i is visible iff key i is). */
  readonly causal: boolean;
  /** What masks the scores, in words, e.g. "Add input attention_mask", "causal Where", "none". */
  readonly mask: string;
}

/** A softmax that is no site, and why. */
export interface NearMiss {
  readonly node: string;
  readonly reason: string;
}

/** What the scanner found in one model. */
export interface ScanResult {
  readonly sites: readonly AttentionSite[];
  /** Normalisations that were looked at and are no sites; the best candidate first. */
  readonly nearMisses: readonly NearMiss[];
}
