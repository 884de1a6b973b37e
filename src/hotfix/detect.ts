/**
 * The detector of one site, as ONNX nodes: standardise [φ; v], a small convolution over the key axis, gate and column
 * threshold, at most k_max columns.
 *
 *   s = conv(relu(conv(relu(conv_K(x)))))        logits [B,Tk]
 *   g_b = any_j s[b,j] ≥ τ_hi                    gate, per sample
 *   σ[b,j] = g_b ∧ s[b,j] ≥ τ_lo                 over visible columns from firstKey on
 * Carried columns count towards k_max.
 */
import { settingIndex, type DetectorTensorName } from "../shared/detector-tensors.ts";
import { DataType } from "../onnx/model.ts";
import { featureLimit, notACandidate } from "./constants.ts";
import type { Emitter } from "../onnx/emitter.ts";
import { emitFeatures } from "./features.ts";

/** State that travels from site to site, as tensor names. */
export interface Carried {
  /** int32 [B,Tk]: 0, or 1 + index of the site that flagged the column first. */
  readonly flags: string;
  /** float32 [B,Tk]: logit at that site, 0 elsewhere. */
  readonly scores: string;
  /** bool scalar: some sample in enforce mode has a flagged column. */
  readonly repair: string;
}

/** Names of the stacked detector tensors as the op receives them. */
export type DetectorNames = Readonly<Record<DetectorTensorName, string>>;

/** Inputs of the detection that belong to the site. */
export interface SiteInputs {
  readonly map: string;
  readonly value: string;
  /** int32 [B]: 0 off, 1 observe, 2 enforce. */
  readonly mode: string;
  /** int64 scalar: index of the site. */
  readonly site: string;
  /** int64 scalar: row of the stacked detector tensors. */
  readonly slot: string;
}

/** Emits the detection and returns what is carried on. Meant to run only where the site has a detector. */
export function emitDetection(
  e: Emitter,
  inputs: SiteInputs,
  detector: DetectorNames,
  carried: Carried,
  selfAttention: boolean,
): Carried {
  const features = emitFeatures(e, inputs.map, inputs.value, selfAttention);
  const logits = emitNetwork(e, features.attention, features.value, features.visible, inputs.slot, detector);

  const thresholds = e.gather(detector.thresholds, inputs.slot); // [2]
  const observed = e.unsqueeze(e.op("Greater", [inputs.mode, e.int32(0)]), [1]); // [B,1]
  const reachable = e.op("And", [
    e.cast(e.squeeze(features.visible, [1]), DataType.BOOL),
    e.squeeze(e.atLeast(features.position, emitSetting(e, detector, "firstKey")), [1]),
  ]);
  const candidate = e.op("And", [
    e.op("And", [reachable, observed]),
    e.atLeast(logits, e.gather(thresholds, e.int(1))),
  ]);
  const opening = e.op("And", [candidate, e.atLeast(logits, e.gather(thresholds, e.int(0)))]);

  const then = e.branch();
  const flagged = emitFlags(then, inputs, detector, carried, {
    logits,
    candidate,
    opening,
    visible: features.visible,
  });
  const otherwise = e.branch();
  const kept = identity(otherwise, carried);
  const outputs: Carried = { flags: e.fresh("flags"), scores: e.fresh("scores"), repair: e.fresh("repair") };
  e.conditional(
    e.any(opening),
    { emitter: then, outputs: list(flagged) },
    { emitter: otherwise, outputs: list(kept) },
    list(outputs),
  );
  return outputs;
}

/** Order in which {@link Carried} is listed as outputs. */
export function list(carried: Carried): [string, string, string] {
  return [carried.flags, carried.scores, carried.repair];
}

/** Hands the carried state on unchanged; a subgraph may not return an outer value directly. */
export function identity(e: Emitter, carried: Carried): Carried {
  return {
    flags: e.op("Identity", [carried.flags]),
    scores: e.op("Identity", [carried.scores]),
    repair: e.op("Identity", [carried.repair]),
  };
}

/** One entry of the `settings` vector as a float scalar. */
export function emitSetting(e: Emitter, detector: DetectorNames, name: keyof typeof settingIndex): string {
  return e.gather(detector.settings, e.int(settingIndex[name]));
}

/** Logits [B,Tk] of the site's network. */
function emitNetwork(
  e: Emitter,
  attention: string,
  value: string,
  visible: string,
  slot: string,
  detector: DetectorNames,
): string {
  const x = e.op("Concat", [attention, value], { axis: 1 }); // [B,F,Tk]
  const featureCount = e.dim(x, 1); // rows are padded to the widest site
  const row = (name: DetectorTensorName): string => e.gather(detector[name], slot);
  const perFeature = (name: DetectorTensorName): string =>
    e.unsqueeze(e.take(row(name), featureCount, [0]), [0, 2]);

  const centred = e.op("Sub", [x, perFeature("feature_mean")]);
  const scaled = e.clip(e.op("Mul", [centred, perFeature("feature_scale")]), -featureLimit, featureLimit);
  // Hidden positions count as zeros, like the space beyond the ends: padding cannot reach a neighbour.
  const standardised = e.op("Mul", [scaled, visible]);
  const convolve = (input: string, weight: string, bias: string): string =>
    e.op("Conv", [input, weight, bias], { auto_pad: "SAME_UPPER" });
  const hidden1 = e.op("Relu", [
    convolve(standardised, e.take(row("conv1_weight"), featureCount, [1]), row("conv1_bias")),
  ]);
  const hidden2 = e.op("Relu", [convolve(hidden1, row("conv2_weight"), row("conv2_bias"))]);
  return e.squeeze(convolve(hidden2, row("conv3_weight"), row("conv3_bias")), [1]);
}

/** Flags after this site, for batches in which some gate opened. */
function emitFlags(
  e: Emitter,
  inputs: SiteInputs,
  detector: DetectorNames,
  carried: Carried,
  found: { logits: string; candidate: string; opening: string; visible: string },
): Carried {
  const zero = e.int32(0);
  const unflagged = e.op("Equal", [carried.flags, zero]);
  const gated = e.op("And", [found.candidate, e.any(found.opening, [1])]);
  const wanted = e.op("And", [gated, unflagged]);
  const visibleCount = e.reduce("ReduceSum", e.squeeze(found.visible, [1]), [1]); // [B,1]
  const share = e.op("Mul", [visibleCount, emitSetting(e, detector, "maxFlaggedShare")]);
  const most = e.op("Max", [e.op("Floor", [share]), e.float(1)]);
  const taken = e.reduce("ReduceSum", e.toFloat(e.op("Not", [unflagged])), [1]);
  const room = e.op("Sub", [most, taken]);
  const fresh = e.op("And", [wanted, e.op("Less", [emitRanks(e, wanted, found.logits), room])]);

  const number = e.cast(e.op("Add", [inputs.site, e.int(1)]), DataType.INT32);
  const flags = e.op("Where", [fresh, number, carried.flags]);
  const scores = e.op("Where", [fresh, found.logits, carried.scores]);
  return { flags, scores, repair: emitRepair(e, flags, inputs.mode) };
}

/** Rank of every column by logit among the candidates, as float32 [B,Tk]; 0 is the highest, ties go to the lower position. */
function emitRanks(e: Emitter, candidate: string, logits: string): string {
  const ranked = e.op("Where", [candidate, logits, e.float(notACandidate)]);
  const [sorted, order] = [e.fresh("sorted"), e.fresh("order")];
  e.ops("TopK", [ranked, e.dim(ranked, 1)], [sorted, order], { axis: 1, largest: 1, sorted: 1 });
  const keys = e.squeeze(e.dim(ranked, 1), [0]);
  const places = e.toFloat(e.op("Range", [e.int(0), keys, e.int(1)]));
  return e.op("ScatterElements", [ranked, order, e.op("Expand", [places, e.op("Shape", [ranked])])], {
    axis: 1,
  });
}

/** Whether some sample in enforce mode has a flagged column. */
export function emitRepair(e: Emitter, flags: string, mode: string): string {
  const enforced = e.unsqueeze(e.op("Greater", [mode, e.int32(1)]), [1]);
  const flagged = e.op("Greater", [flags, e.int32(0)]);
  return e.any(e.op("And", [flagged, enforced]));
}
