/**
 * The repair of one map, as ONNX nodes. For flagged columns σ, visibility v, benign attention c and γ = maxBenignMass:
 *
 *   ĉ = c·σ·v, C_i = Σ_j ĉ_ij, both scaled down so that C_i ≤ γ
 *   keep = v·(1−σ), N = A·keep + η·keep/Σkeep, R_i = Σ_j N_ij
 *   A'_ij = S_i·(ĉ_ij + (1 − C_i)·N_ij / R_i)         S_i = Σ_j A_ij, the row's own mass
 *   V'_j = V̄ for flagged columns
 *
 * Rows without a kept key stay as they are, and so does every sample without a flagged column, bit for bit.
 */
import { fallbackWeight } from "./constants.ts";
import { emitSetting, type DetectorNames } from "./detect.ts";
import type { Emitter } from "../onnx/emitter.ts";

/** Emits A' and V'. Meant to run only for batches in which some sample is to be repaired. */
export function emitRedistribution(
  e: Emitter,
  inputs: { map: string; value: string; mode: string; site: string; flags: string },
  detector: DetectorNames,
): { map: string; value: string } {
  const enforced = e.unsqueeze(e.op("Greater", [inputs.mode, e.int32(1)]), [1]);
  const isFlagged = e.op("And", [e.op("Greater", [inputs.flags, e.int32(0)]), enforced]);
  const flagged = e.unsqueeze(e.toFloat(isFlagged), [1, 2]); // [B,1,1,Tk]
  const kept = e.op("Sub", [e.float(1), flagged]);

  const anyHead = e.reduce("ReduceMax", inputs.map, [1]);
  const visible = e.toFloat(e.op("Greater", [anyHead, e.float(0)])); // [B,1,Tq,Tk]
  const keep = e.op("Mul", [visible, kept]);
  const keepCount = e.reduce("ReduceSum", keep, [3]); // [B,1,Tq,1]
  const hasKept = e.op("Greater", [keepCount, e.float(0)]);

  const benign = emitBenignAttention(e, inputs, detector, visible, flagged);
  const uniform = e.op("Div", [keep, e.op("Max", [keepCount, e.float(1)])]);
  const remaining = e.op("Add", [
    e.op("Mul", [inputs.map, keep]),
    e.op("Mul", [uniform, e.float(fallbackWeight)]),
  ]);
  const remainingMass = e.op("Where", [hasKept, e.reduce("ReduceSum", remaining, [3]), e.float(1)]);
  const rowMass = e.reduce("ReduceSum", inputs.map, [3]); // [B,H,Tq,1]
  const remainingShare = e.op("Mul", [rowMass, e.op("Sub", [e.float(1), benign.mass])]);
  const repaired = e.op("Add", [
    e.op("Mul", [benign.attention, rowMass]),
    e.op("Mul", [remaining, e.op("Div", [remainingShare, remainingMass])]),
  ]);
  const sampleFlagged = e.unsqueeze(e.any(isFlagged, [1]), [2, 3]); // [B,1,1,1]
  const map = e.op("Where", [e.op("And", [sampleFlagged, hasKept]), repaired, inputs.map]);
  return { map, value: emitBenignValue(e, inputs, detector, isFlagged) };
}

/** ĉ and its row sums C, already limited to γ: float32 [B,H,Tq,Tk] and [B,H,Tq,1]. */
function emitBenignAttention(
  e: Emitter,
  inputs: { map: string; site: string },
  detector: DetectorNames,
  visible: string,
  flagged: string,
): { attention: string; mass: string } {
  const reference = e.unsqueeze(emitReference(e, detector.reference_attention, inputs.site, inputs.map), [0]);
  // ρ·u for a ratio, c itself otherwise: multiply by (1/n_i)^ratio.
  const uniformMass = e.op("Reciprocal", [e.op("Max", [e.reduce("ReduceSum", visible, [3]), e.float(1)])]);
  const isRatio = e.op("Greater", [emitSetting(e, detector, "ratio"), e.float(0.5)]);
  const unit = e.op("Where", [isRatio, uniformMass, e.float(1)]);
  const where = e.op("Mul", [e.op("Mul", [visible, flagged]), unit]); // [B,1,Tq,Tk]
  const raw = e.op("Mul", [reference, where]);
  const rawMass = e.reduce("ReduceSum", raw, [3]);
  const limit = emitSetting(e, detector, "maxBenignMass");
  const shrink = e.op("Div", [limit, e.op("Max", [rawMass, limit])]); // 1 while the mass is within the limit
  return { attention: e.op("Mul", [raw, shrink]), mass: e.op("Mul", [rawMass, shrink]) };
}

/** V with the benign value at flagged columns of samples to be repaired: float32 [B,Hv,Tk,d]. */
function emitBenignValue(
  e: Emitter,
  inputs: { value: string; site: string },
  detector: DetectorNames,
  isFlagged: string,
): string {
  const replace = e.op("Greater", [emitSetting(e, detector, "replaceValue"), e.float(0.5)]);
  const columns = e.unsqueeze(e.op("And", [isFlagged, replace]), [1, 3]); // [B,1,Tk,1]
  const benign = e.unsqueeze(emitReference(e, detector.reference_value, inputs.site, inputs.value), [0]);
  return e.op("Where", [columns, benign, inputs.value]);
}

/** The site's row of a stacked reference, cut to the three trailing dimensions of `like` (length 1 broadcasts). */
function emitReference(e: Emitter, stacked: string, site: string, like: string): string {
  const trailing = e.op("Slice", [e.op("Shape", [like]), e.int([1]), e.int([4]), e.int([0])]);
  return e.take(e.gather(stacked, site), trailing, [0, 1, 2]);
}
