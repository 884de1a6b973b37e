/**
 * The repair of one product of a map with values, as ONNX nodes: what `redistribute.ts` computes, times V', without
 * writing the repaired map. With the symbols used there and σ per column:
 *
 *   P = A·((1 − σ)·V), R = A·(1 − σ), S = A·1, c·σ as it is without v
 *   A'V' = S·(min(1, γ/C)·(c·σ)·V' + (1 − C)/R·P), the first product over the flagged columns alone
 * The factor meets the d columns of P instead of the Tk columns of the map; what a flagged column held takes no part in
 * any sum. P of a sample without flagged columns is the product as it was, and its factor is 1: no bit changes.
 * This holds where every query sees the flagged columns and keeps another one; other batches take the way by the map.
 */
import { DataType } from "../onnx/model.ts";
import { emitSetting, type DetectorNames } from "./detect.ts";
import type { Emitter } from "../onnx/emitter.ts";
import { emitHeadMean, emitOverRows } from "./features.ts";
import {
  emitColumns,
  emitKeysPerSite,
  emitRedistribution,
  limitBenign,
  type RepairInputs,
} from "./redistribute.ts";

/** Below this an entry counts as unseen, and a row as without a kept key: far above η, and below any attention. */
const thin = 1e-20;

/** Emits A'V', float32 [B,H,Tq,d]. Meant to run only for batches in which some sample is to be repaired. */
export function emitRepairedProduct(e: Emitter, inputs: RepairInputs, detector: DetectorNames): string {
  // Branches of an If must agree in shape there, and positions known at run time are long to write.
  if (e.opset < 11) return emitByMap(e, inputs, detector);
  const { map, value, flags, mode } = inputs;
  const columns = emitColumns(e, flags, mode); // [B,Tk]
  const keep = e.toFloat(e.op("Not", [columns])); // [B,Tk]
  const kept = e.op("MatMul", [map, e.op("Mul", [value, e.unsqueeze(keep, [1, 3])])]); // P
  // R [B,H,Tq,1]. An operand for every head: with one for all of them the runtime rounds by the size of the batch.
  const everyHead = e.concat([e.dims(map, 0, 2), e.int([1, 1])], 0);
  const keptMass = e.op("MatMul", [map, e.expand(e.unsqueeze(keep, [1, 3]), everyHead)]);

  const leastOfColumn = e.squeeze(emitOverRows(e, "ReduceMin", map), [1]);
  const leastSeen = e.where(columns, leastOfColumn, e.float(1), [0, 1], 2);
  const least = e.smaller(e.reduce("ReduceMin", leastSeen, null), e.reduce("ReduceMin", keptMass, null));
  const byMap = e.branch();
  const direct = e.branch();
  const product = e.fresh("repaired");
  e.conditional(
    e.less(least, e.float(thin)),
    { emitter: byMap, outputs: [emitByMap(byMap, inputs, detector)] },
    { emitter: direct, outputs: [emitDirect(direct, inputs, detector, { columns, kept, keptMass })] },
    [product],
  );
  return product;
}

/** The product of the repaired map and values. */
function emitByMap(e: Emitter, inputs: RepairInputs, detector: DetectorNames): string {
  const repaired = emitRedistribution(e, inputs, detector);
  return e.op("MatMul", [repaired.map, repaired.value]);
}

function emitDirect(
  e: Emitter,
  { map, value, site }: RepairInputs,
  detector: DetectorNames,
  { columns, kept, keptMass }: { columns: string; kept: string; keptMass: string },
): string {
  const { slot } = detector;
  // K, the columns flagged in any sample; σ then says which of them are a sample's own.
  const anySample = e.reduce("ReduceMax", e.cast(columns, DataType.INT32), [0], false);
  const chosen = e.squeeze(e.op("NonZero", [anySample]), [0]);
  const flagged = e.unsqueeze(e.toFloat(e.gather(columns, chosen, 1)), [1, 2]); // σ [B,1,1,K]
  const benign = emitReference(e, detector.reference_attention, {
    site,
    slot,
    like: map,
    chosen,
    keyAxis: 3,
  });
  const raw = e.op("Mul", [benign, flagged]); // [B,H,Tq or 1,K]
  const unit = emitUnit(e, map, detector); // [B or 1,1,Tq or 1,1]
  const rawMass = e.op("Div", [e.reduce("ReduceSum", raw, [3]), unit]);
  const { shrink, mass } = limitBenign(e, detector, rawMass);
  const rowMass = e.reduce("ReduceSum", map, [3]); // S [B,H,Tq,1]
  const values = e.where(
    e.cast(emitSetting(e, detector, "replaceValue"), DataType.BOOL),
    emitReference(e, detector.reference_value, { site, slot, like: value, chosen, keyAxis: 2 }),
    e.gather(value, chosen, 2),
    [],
    4,
  ); // V' [B,Hv,K,d]
  const scaled = e.op("Mul", [raw, e.op("Div", [e.op("Mul", [rowMass, shrink]), unit])]);

  const rescale = e.op("Div", [e.op("Mul", [rowMass, e.op("Sub", [e.float(1), mass])]), keptMass]);
  const sampleFlagged = e.cast(e.reduce("ReduceMax", flagged, [3]), DataType.BOOL); // [B,1,1,1]
  const factor = e.where(sampleFlagged, rescale, e.float(1), [0], 4);
  return e.op("Add", [e.op("MatMul", [scaled, values]), e.op("Mul", [kept, factor])]);
}

/**
 * The site's part of a reference by keys at the chosen ones, cut to the other axes of `like` and with the keys where it has
 * them. An axis of length 1 broadcasts; for keys it stands for every one of them.
 */
function emitReference(
  e: Emitter,
  stacked: string,
  {
    site,
    slot,
    like,
    chosen,
    keyAxis,
  }: { site: string; slot: string; like: string; chosen: string; keyAxis: 2 | 3 },
): string {
  const length = emitKeysPerSite(e, stacked, slot);
  // A reference that is too short for the sample must fail: a step as long as all of it leads beyond its end.
  const tooShort = e.cast(e.less(length, e.dim(like, keyAxis)), DataType.INT64);
  const beyond = e.op("Mul", [tooShort, e.dim(stacked, 0)]);
  const isOwn = e.cast(e.greater(length, e.int(1)), DataType.INT64);
  const key = e.op("Mul", [e.op("Add", [chosen, beyond]), isOwn]);
  const rows = e.gather(stacked, e.op("Add", [e.op("Mul", [site, length]), key])); // [K,…]
  const [ends, order] =
    keyAxis === 3
      ? [e.dims(like, 1, 3), [1, 2, 0]]
      : [e.concat([e.dim(like, 1), e.dim(like, 3)], 0), [1, 0, 2]];
  return e.transpose(e.take(rows, ends, [1, 2]), order);
}

/** Number of keys that each query sees where c is a ratio to uniform mass, else 1. */
function emitUnit(e: Emitter, map: string, detector: DetectorNames): string {
  const ratio = e.branch();
  const count = ratio.reduce("ReduceSum", ratio.positive(emitHeadMean(ratio, map)), [3]);
  const plain = e.branch();
  const unit = e.fresh("unit");
  e.conditional(
    e.cast(emitSetting(e, detector, "ratio"), DataType.BOOL),
    { emitter: ratio, outputs: [count] },
    { emitter: plain, outputs: [plain.reshape(plain.float(1), [1, 1, 1, 1])] },
    [unit],
  );
  return unit;
}
