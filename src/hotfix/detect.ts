/**
 * The detector of one site, as ONNX nodes: standardise [φ; v], a small convolution over the key axis, gate and column
 * threshold, at most k_max columns.
 *
 *   s = conv(relu(conv(relu(conv_K(x)))))        logits [B,Tk]
 *   g_b = any_j s[b,j] ≥ τ_hi                    gate, per sample
 *   σ[b,j] = g_b ∧ s[b,j] ≥ τ_lo                 over visible columns from firstKey on
 * Carried columns count towards k_max.
 */
import { settingIndex, type DetectorTensorName, type NetworkTensorName } from "../shared/detector-tensors.ts";
import { DataType } from "../onnx/model.ts";
import { featureLimit, notACandidate } from "./constants.ts";
import type { Emitter } from "../onnx/emitter.ts";
import { emitVisibleCount, type Features } from "./features.ts";

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

/** Every tensor under its own name. */
export function ownNames<Name extends string>(names: readonly Name[]): Readonly<Record<Name, string>> {
  const own: Record<string, string> = Object.fromEntries(names.map((name) => [name, name]));
  return own as Record<Name, string>;
}

/** What the network found, as tensor names. */
export interface Scores {
  /** float32 [B,1,Tk] */
  readonly logits: string;
  /** float32 [2]: τ_hi, τ_lo */
  readonly thresholds: string;
  /** bool [B,1,Tk]: columns that reach the gate, hidden ones and those before firstKey included. */
  readonly reaching: string;
}

/** What flags are made of beside the scores, as tensor names. */
export interface FlagInputs {
  /** float32 [B,1,Tk] */
  readonly visible: string;
  /** int32 [B]: 0 off, 1 observe, 2 enforce. */
  readonly mode: string;
  /** int64 scalar: index of the site. */
  readonly site: string;
}

/**
 * Emits the scores of the site's columns. Meant to run only where the site has a detector.
 * @param slot int64 scalar: row of the stacked detector tensors
 */
export function emitScores(
  e: Emitter,
  { features, slot }: { readonly features: Features; readonly slot: string },
  detector: DetectorNames,
): Scores {
  const logits = emitNetwork(e, features, slot, detector);
  const thresholds = e.gather(detector.thresholds, slot); // [2]
  return { logits, thresholds, reaching: e.atLeast(logits, e.gather(thresholds, e.int(0))) };
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

/**
 * Logits [B,1,Tk] of the network of one site.
 * @param slot int64 scalar: row of the stacked tensors
 */
export function emitNetwork(
  e: Emitter,
  features: Features,
  slot: string,
  detector: Pick<DetectorNames, NetworkTensorName>,
): string {
  const x = features.all; // [B,F,Tk]
  const featureCount = e.dim(x, 1); // rows are padded to the widest site
  const row = (name: NetworkTensorName): string => e.gather(detector[name], slot);
  const perFeature = (name: NetworkTensorName): string => e.take(row(name), featureCount, [0]);

  const centred = e.op("Sub", [x, perFeature("feature_mean")]);
  const scaled = e.clip(e.op("Mul", [centred, perFeature("feature_scale")]), -featureLimit, featureLimit);
  // Hidden positions count as zeros, like the space beyond the ends: padding cannot reach a neighbour.
  const standardised = e.op("Mul", [scaled, features.visible]);
  const convolve = (input: string, weight: string, bias: string): string =>
    e.op("Conv", [input, weight, bias], { auto_pad: "SAME_UPPER" });
  const hidden1 = e.op("Relu", [
    convolve(standardised, e.take(row("conv1_weight"), featureCount, [1]), row("conv1_bias")),
  ]);
  const hidden2 = e.op("Relu", [convolve(hidden1, row("conv2_weight"), row("conv2_bias"))]);
  return convolve(hidden2, row("conv3_weight"), row("conv3_bias"));
}

/** Flags after this site, from its scores. Batches in which no column reaches the gate need not come here. */
export function emitFlags(
  e: Emitter,
  inputs: FlagInputs,
  detector: DetectorNames,
  carried: Carried,
  found: Scores,
): Carried {
  const choose = (condition: string, x: string, y: string): string => e.where(condition, x, y, [0, 1], 2);
  const { visible } = inputs;
  const logits = e.squeeze(found.logits, [1]);
  const position = e.toFloat(e.positions(e.dim(logits, 1)));
  const allowed = e.op("And", [
    e.cast(e.squeeze(visible, [1]), DataType.BOOL),
    e.atLeast(position, emitSetting(e, detector, "firstKey")),
  ]);
  const observed = e.unsqueeze(e.greater(inputs.mode, e.int32(0)), [1]); // [B,1]
  const gate = e.op("And", [observed, e.any(e.op("And", [allowed, e.squeeze(found.reaching, [1])]), [1])]);
  const known = e.cast(carried.flags, DataType.BOOL);
  const wanted = e.and(
    allowed,
    e.atLeast(logits, e.gather(found.thresholds, e.int(1))),
    gate,
    e.op("Not", [known]),
  );
  const visibleCount = e.squeeze(emitVisibleCount(e, visible), [2]); // [B,1]
  const share = e.op("Mul", [visibleCount, emitSetting(e, detector, "maxFlaggedShare")]);
  const most = e.larger(e.op("Floor", [share]), e.float(1));
  const room = e.op("Sub", [most, e.reduce("ReduceSum", e.toFloat(known), [1])]); // [B,1]
  const ranks = e.ranks(choose(wanted, logits, e.reshape(e.float(notACandidate), [1, 1])));
  const fresh = e.op("And", [wanted, e.less(ranks, e.cast(room, DataType.INT64))]);

  const number = e.cast(e.reshape(e.op("Add", [inputs.site, e.int(1)]), [1, 1]), DataType.INT32);
  const flags = choose(fresh, number, carried.flags);
  const scores = choose(fresh, logits, carried.scores);
  return { flags, scores, repair: emitRepair(e, flags, inputs.mode) };
}

/** int32 [B,Tk]: above 0 for flagged columns of samples in enforce mode (2), not for those in other modes (0, 1). */
export function emitEnforced(e: Emitter, flags: string, mode: string): string {
  return e.op("Mul", [flags, e.unsqueeze(e.op("Sub", [mode, e.int32(1)]), [1])]);
}

/** Whether some sample in enforce mode has a flagged column. */
export function emitRepair(e: Emitter, flags: string, mode: string): string {
  return e.greater(e.reduce("ReduceMax", emitEnforced(e, flags, mode), null), e.int32(0));
}
