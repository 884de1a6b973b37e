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
import { DataType } from "../onnx/model.ts";
import { emitEnforced, emitSetting, type DetectorNames } from "./detect.ts";
import type { Emitter } from "../onnx/emitter.ts";
import { emitHeadMean } from "./features.ts";

/** Tensors that a repair reads: the map and the values of the site, and what is known of its columns and samples. */
export interface RepairInputs {
  readonly map: string;
  readonly value: string;
  readonly mode: string;
  readonly site: string;
  readonly flags: string;
}

/** Columns to be repaired, bool [B,Tk]. */
export function emitColumns(e: Emitter, flags: string, mode: string): string {
  return e.greater(emitEnforced(e, flags, mode), e.int32(0));
}

/** Emits A' and V'. Meant to run only for batches in which some sample is to be repaired. */
export function emitRedistribution(
  e: Emitter,
  inputs: RepairInputs,
  detector: DetectorNames,
): { map: string; value: string } {
  const isFlagged = emitColumns(e, inputs.flags, inputs.mode); // [B,Tk]
  const flagged = e.toFloat(e.unsqueeze(isFlagged, [1, 2])); // [B,1,1,Tk]
  const visible = e.positive(emitHeadMean(e, inputs.map)); // [B,1,Tq,Tk]
  const damped = e.op("Mul", [visible, flagged]);
  const keep = e.op("Sub", [visible, damped]);
  const keepCount = e.reduce("ReduceSum", keep, [3]); // [B,1,Tq,1]
  const rowMass = e.reduce("ReduceSum", inputs.map, [3]); // [B,H,Tq,1]

  // Rows without a kept key divide by zero from here on; they are not taken over in the end.
  const benign = emitBenignAttention(e, inputs, detector, visible, damped);
  const fallback = e.op("Div", [e.float(fallbackWeight), keepCount]);
  const remaining = e.op("Mul", [e.op("Add", [inputs.map, fallback]), keep]);
  const remainingShare = e.op("Mul", [rowMass, e.op("Sub", [e.float(1), benign.mass])]);
  const repaired = e.op("Add", [
    e.op("Mul", [benign.raw, e.op("Mul", [benign.shrink, rowMass])]),
    e.op("Mul", [remaining, e.op("Div", [remainingShare, e.reduce("ReduceSum", remaining, [3])])]),
  ]);
  const sampleFlagged = e.reduce("ReduceMax", flagged, [3]); // [B,1,1,1]
  const applies = e.cast(e.op("Mul", [keepCount, sampleFlagged]), DataType.BOOL);
  const map = e.where(applies, repaired, inputs.map, [0, 2], 4);
  return { map, value: emitBenignValue(e, inputs, detector, isFlagged) };
}

/** c·σ·v float32 [B,H,Tq,Tk], the factor that limits it to γ and its row sums C after that, [B,H,Tq,1]. */
function emitBenignAttention(
  e: Emitter,
  inputs: { map: string; site: string },
  detector: DetectorNames,
  visible: string,
  damped: string,
): { raw: string; shrink: string; mass: string } {
  const reference = emitReference(e, detector.reference_attention, {
    site: inputs.site,
    slot: detector.slot,
    like: inputs.map,
    keyAxis: 3,
  });
  // ρ·u for a ratio, c itself otherwise: divide by n_i to the power of the setting, 1 or 0.
  const visibleCount = e.reduce("ReduceSum", visible, [3]);
  const divisor = e.op("Pow", [visibleCount, emitSetting(e, detector, "ratio")]);
  const raw = e.op("Mul", [reference, e.op("Div", [damped, divisor])]);
  return { raw, ...limitBenign(e, detector, e.reduce("ReduceSum", raw, [3])) };
}

/** The factor that limits benign attention of row sums `mass` to γ, and the sums after that. */
export function limitBenign(
  e: Emitter,
  detector: DetectorNames,
  mass: string,
): { shrink: string; mass: string } {
  const limit = emitSetting(e, detector, "maxBenignMass");
  // 1 while the mass is within the limit
  return { shrink: e.op("Div", [limit, e.larger(mass, limit)]), mass: e.smaller(mass, limit) };
}

/** V with the benign value at flagged columns of samples to be repaired: float32 [B,Hv,Tk,d]. */
function emitBenignValue(
  e: Emitter,
  inputs: { value: string; site: string },
  detector: DetectorNames,
  isFlagged: string,
): string {
  const replace = e.cast(emitSetting(e, detector, "replaceValue"), DataType.BOOL);
  const columns = e.unsqueeze(e.op("And", [isFlagged, replace]), [1, 3]); // [B,1,Tk,1]
  const benign = emitReference(e, detector.reference_value, {
    site: inputs.site,
    slot: detector.slot,
    like: inputs.value,
    keyAxis: 2,
  });
  return e.where(columns, e.unsqueeze(benign, [0]), inputs.value, [0, 2], 4);
}

/** Rows of a site in a reference by keys: int64 [1], Tk or 1. */
export function emitKeysPerSite(e: Emitter, stacked: string, slot: string): string {
  return e.op("Div", [e.dim(stacked, 0), e.dim(slot, 0)]);
}

/**
 * The site's part of a reference by keys, with the keys where `like` has them and cut to its three trailing dimensions
 * (length 1 broadcasts).
 */
function emitReference(
  e: Emitter,
  stacked: string,
  { site, slot, like, keyAxis }: { site: string; slot: string; like: string; keyAxis: 2 | 3 },
): string {
  const keys = emitKeysPerSite(e, stacked, slot);
  const from = e.op("Mul", [e.unsqueeze(site, [0]), keys]);
  const own = e.slice(stacked, from, e.op("Add", [from, keys]), 0); // [Tk,…]
  const turned = e.transpose(own, keyAxis === 3 ? [1, 2, 0] : [1, 0, 2]);
  return e.take(turned, e.dims(like, 1, 4), [0, 1, 2]);
}
