/** What every expansion takes and gives. */
import type { NodeProto } from "../../onnx/model.ts";
import type { Scope } from "../scope.ts";
import type { Emitter } from "../../onnx/emitter.ts";

/** A fused node to be written with plain operators. */
export interface FusedNode {
  readonly node: NodeProto;
  readonly scope: Scope;
  readonly e: Emitter;
}

/** The normalisation inside, or why this variant cannot be written with plain operators. */
export type Expansion = { readonly weights: string } | { readonly reason: string };

/** Writes the node's computation and gives its outputs their names; nothing is written when it refuses. */
export type Expand = (fused: FusedNode) => Expansion;

/** Name of an optional input; empty when absent. */
export function input({ node }: FusedNode, position: number): string {
  return node.input[position] ?? "";
}

/** Whether somebody may read that output. */
export function wants({ node }: FusedNode, position: number): boolean {
  return (node.output[position] ?? "") !== "";
}
