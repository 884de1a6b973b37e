/** Brings a map and its values to [B',H,Tq,Tk] and [B',Hv,Tk,d] in float32, and the patched ones back. */
import { DataType } from "../onnx/model.ts";
import type { AttentionSite, LeadingDims } from "../attention/site.ts";
import type { Emitter } from "../onnx/emitter.ts";

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
  const shape = canonicalShape(e, single, site.leading, mode);
  // [H, B, r, c] ↔ [B, H, r, c]
  const turn = (inner: Emitter, x: string): string =>
    site.leading === "H*B" ? inner.transpose(x, [1, 0, 2, 3]) : x;
  return {
    name: turn(e, shape ? e.op("Reshape", [single, shape]) : single),
    restore(inner, canonical) {
      const turned = turn(inner, canonical);
      const shaped = shape ? inner.op("Reshape", [turned, inner.op("Shape", [single])]) : turned;
      const typed = site.elementType === DataType.FLOAT ? shaped : inner.cast(shaped, site.elementType);
      return permutation ? inner.transpose(typed, inverse(permutation)) : typed;
    },
  };
}

/** Shape to reshape to; null when the layout is canonical already. */
function canonicalShape(e: Emitter, tensor: string, leading: LeadingDims, mode: string): string | null {
  const trailing = (from: number): string => e.dims(tensor, from, from + 2);
  const concat = (...parts: string[]): string => e.concat(parts, 0);
  switch (leading) {
    case "B*H": // [B·H, r, c] → [B, H, r, c]
      return concat(e.dim(mode, 0), e.int([-1]), trailing(1));
    case "H*B": // [H·B, r, c] → [H, B, r, c]
      return concat(e.int([-1]), e.dim(mode, 0), trailing(1));
    case "B,nW,H": // [B, nW, H, r, c] → [B·nW, H, r, c]
      return concat(e.int([-1]), e.dim(tensor, 2), trailing(3));
    case "B,H,G": // [B, H, G, r, c] → [B, H·G, r, c]
      return concat(e.dim(tensor, 0), e.int([-1]), trailing(3));
    default:
      return null;
  }
}

function inverse(permutation: readonly number[]): number[] {
  const result = permutation.map(() => 0);
  permutation.forEach((from, to) => (result[from] = to));
  return result;
}
