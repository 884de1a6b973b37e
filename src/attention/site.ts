import type { DataType, GraphProto, NodeProto } from "../onnx/model.ts";

/**
 * How the leading dimensions of a map are laid out once `mapPermutation` was applied.
 * "B,H": [B,H,Tq,Tk]; "B*H": [B·H,Tq,Tk]; "B*nW,H": [B·nW,H,n,n] (windows), a sample is nW rows; "B,nW,H" (rank 5);
 * "H*B": [H·B,Tq,Tk], heads outside; "B,H,G": [B,H,G,Tq,Tk] (rank 5), groups of G heads that share their values.
 */
export type LeadingDims = "B,H" | "B*H" | "B*nW,H" | "B,nW,H" | "H*B" | "B,H,G";

/** A place where a node reads a tensor: `node.input[input]`. */
export interface Reader {
  readonly node: NodeProto;
  readonly input: number;
}

/** One product of the map with a value tensor. */
export interface ValueProduct {
  /** The contraction: MatMul, Einsum, FusedMatMul, … */
  readonly node: NodeProto;
  /** Tensor name of the values in float, before any quantisation. */
  readonly value: string;
  /** Where that tensor is read on its way to this product; rewired to the patched values. */
  readonly valueReader: Reader;
  /** Layout of the leading dimensions of the values once `valuePermutation` was applied; it may differ from the map's. */
  readonly leading: LeadingDims;
  /**
   * Permutation that brings the value tensor to its leading dimensions followed by [Tk, d]; null when it is there already.
   * Example: Keras einsum values [B,Tk,H,d] → [0, 2, 1, 3].
   */
  readonly valuePermutation: readonly number[] | null;
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
  /** Where the site is: "main", "if-branch" or "function". */
  readonly where: string;
  /** The graph that holds the site's nodes: the main graph, or the body of an If branch. */
  readonly graph: GraphProto;
  /** Rank of the map in the graph and the layout of its leading dimensions. */
  readonly rank: number;
  readonly leading: LeadingDims;
  /** Contract name of the layout, e.g. "B,H,Tq,Tk". */
  readonly dims: string;
  /** Element type of the map and the values (`DataType.FLOAT`, FLOAT16, BFLOAT16, DOUBLE): the patch casts around itself. */
  readonly elementType: DataType;
  /** Heads and lengths when the graph tells them statically. */
  readonly heads: number | null;
  readonly queries: number | null;
  readonly keys: number | null;
  /** Whether queries and keys are sure to be equally many, whatever the input. */
  readonly square: boolean;
  /** Name of the normalisation node (its first output when the node has no name). */
  readonly node: string;
  /** Tensor name of the map at the insertion point: after the last value-changing step, before regrouping or quantising. */
  readonly map: string;
  /** Permutation that brings that tensor to […leading, Tq, Tk]; null when it is there already. */
  readonly mapPermutation: readonly number[] | null;
  /**
   * What reads the map on its way to the values: rewired to the patched map. Usually the product
   * itself; a Reshape, Cast or quantisation when those come after the insertion point.
   */
  readonly mapReaders: readonly Reader[];
  /** The products of the map with values; almost always one. */
  readonly products: readonly ValueProduct[];
  /** Key axis identity: sites with the same number see the same tokens at the same positions. */
  readonly axis: number;
  /** Whether later keys are hidden from earlier queries. */
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
