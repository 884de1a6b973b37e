/** Brings a map and its values to [B',H,Tq,Tk] and [B',Hv,Tk,d] in float32, and the patched ones back. */
import { DataType } from "../onnx/model.ts";
import type { AttentionSite, LeadingDims } from "../attention/site.ts";
import type { Emitter } from "./emitter.ts";

/** A tensor in canonical layout, with the way back. */
export interface Canonical {
  readonly name: string;
  /** Emits the inverse for a tensor of the same canonical shape and returns its name in the graph's own layout. */
  restore(e: Emitter, canonical: string): string;
}

/** Rows of the canonical batch per sample of the request: one, or one per window. */
export function hasWindows(leading: LeadingDims): boolean {
  return leading === "B*nW,H" || leading === "B,nW,H";
}

/**
 * @param tensor graph tensor holding the map or the values
 * @param permutation brings it to […leading, rows, columns]; null when it is there
 * @param mode int32 [B], which tells the batch size where heads are folded into it
 */
export function toCanonical(
  e: Emitter,
  tensor: string,
  permutation: readonly number[] | null,
  site: Pick<AttentionSite, "leading" | "elementType">,
  mode: string,
): Canonical {
  const permuted = permutation ? e.transpose(tensor, permutation) : tensor;
  const single = site.elementType === DataType.FLOAT ? permuted : e.toFloat(permuted);
  const shape = site.leading === "B*H" ? foldedShape(e, single, mode) : windowShape(e, single, site.leading);
  return {
    name: shape ? e.op("Reshape", [single, shape]) : single,
    restore(inner, canonical) {
      const shaped = shape ? inner.op("Reshape", [canonical, inner.op("Shape", [single])]) : canonical;
      const typed = site.elementType === DataType.FLOAT ? shaped : inner.cast(shaped, site.elementType);
      return permutation ? inner.transpose(typed, inverse(permutation)) : typed;
    },
  };
}

/** [B·H, r, c] → [B, H, r, c] */
function foldedShape(e: Emitter, tensor: string, mode: string): string {
  const trailing = e.op("Slice", [e.op("Shape", [tensor]), e.int([1]), e.int([3]), e.int([0])]);
  return e.op("Concat", [e.dim(mode, 0), e.int([-1]), trailing], { axis: 0 });
}

/** [B, nW, H, r, c] → [B·nW, H, r, c]; null when the layout is there already. */
function windowShape(e: Emitter, tensor: string, leading: LeadingDims): string | null {
  if (leading !== "B,nW,H") return null;
  const trailing = e.op("Slice", [e.op("Shape", [tensor]), e.int([2]), e.int([5]), e.int([0])]);
  return e.op("Concat", [e.int([-1]), trailing], { axis: 0 });
}

function inverse(permutation: readonly number[]): number[] {
  const result = permutation.map(() => 0);
  permutation.forEach((from, to) => (result[from] = to));
  return result;
}
