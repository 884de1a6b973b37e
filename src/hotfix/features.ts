/**
 * Column features of one attention map, as ONNX nodes.
 *
 * With Ā the mean of A over heads, q the weight of a visible query (Σq = 1), u the uniform mass (mean over queries of
 * 1 / number of keys that query sees) and ε = 1e-6, key column j has the features φ:
 *   0  log of its mean mass over u                     1  log of its largest mass over u
 *   2  log of its mass in the pooled row (query 0) over u
 *   3  log of the largest per-head mean mass over u    4  log of the largest per-head pooled-row mass over u
 *   5  standard deviation over queries / mean mass     6  share of queries whose largest key it is (ties count for each)
 *   7  z-score of its mean mass within the sample      8, 9, 10  first visible / last visible / other visible position
 * All are reductions over the sample's own visible queries: batch composition and padding do not enter.
 */
import { DataType } from "../onnx/model.ts";
import { epsilon, tieFactor, zScoreFloor } from "./constants.ts";
import type { Emitter } from "../onnx/emitter.ts";

/** Tensor names of the features of one map. */
export interface Features {
  /** float32 [B, 11, Tk] */
  readonly attention: string;
  /** float32 [B, Hv·d, Tk] */
  readonly value: string;
  /** float32 [B, 1, Tk]: 1 for visible keys, else 0. */
  readonly visible: string;
  /** float32 [1, 1, Tk]: 0, 1, 2, … */
  readonly position: string;
}

/**
 * @param map float32 [B,H,Tq,Tk]
 * @param value float32 [B,Hv,Tk,d]
 * @param selfAttention queries and keys are the same positions whenever Tq = Tk, so that padded queries can be left out
 */
export function emitFeatures(e: Emitter, map: string, value: string, selfAttention: boolean): Features {
  const headMean = e.reduce("ReduceMean", map, [1], false); // [B,Tq,Tk]
  const seen = e.toFloat(e.op("Greater", [headMean, e.float(0)])); // [B,Tq,Tk]
  const visible = e.reduce("ReduceMax", seen, [1]); // [B,1,Tk]
  const weight = emitQueryWeights(e, seen, visible, selfAttention); // [B,Tq,1], sums to 1
  const weightRow = e.transpose(weight, [0, 2, 1]); // [B,1,Tq]

  const keysSeen = e.op("Max", [e.reduce("ReduceSum", seen, [2]), e.float(1)]); // [B,Tq,1]
  const uniform = e.op("MatMul", [weightRow, e.op("Reciprocal", [keysSeen])]); // [B,1,1]

  const headMass = e.op("MatMul", [e.unsqueeze(weightRow, [1]), map]); // [B,H,1,Tk]
  const mass = e.reduce("ReduceMean", headMass, [1], false); // [B,1,Tk]
  const counted = e.op("Mul", [headMean, e.op("Sign", [weight])]); // padded queries are 0
  const largest = e.reduce("ReduceMax", counted, [1]);
  const deviation = e.op("Sub", [headMean, mass]);
  const variance = e.op("MatMul", [weightRow, e.op("Mul", [deviation, deviation])]);
  const spread = e.op("Div", [e.op("Sqrt", [variance]), e.op("Add", [mass, e.float(epsilon)])]);
  const pooled = e.take(headMean, e.int([1]), [1]); // [B,1,Tk]
  const rowLargest = e.op("Mul", [e.reduce("ReduceMax", headMean, [2]), e.float(tieFactor)]);
  const isLargest = e.toFloat(e.atLeast(headMean, rowLargest));
  const pooledHeads = e.take(map, e.int([1]), [2]); // [B,H,1,Tk]

  const masses = e.op(
    "Concat",
    [
      mass,
      largest,
      pooled,
      e.reduce("ReduceMax", headMass, [1], false),
      e.reduce("ReduceMax", pooledHeads, [1], false),
    ],
    { axis: 1 },
  );
  const positive = e.op("Add", [masses, e.float(epsilon)]);
  const logRatios = e.op("Log", [e.op("Div", [positive, e.op("Add", [uniform, e.float(epsilon)])])]);

  const position = emitPositions(e, visible);
  const share = e.op("MatMul", [weightRow, isLargest]);
  const attention = e.op(
    "Concat",
    [logRatios, spread, share, emitZScore(e, mass, visible), ...emitPlaces(e, position, visible)],
    { axis: 1 },
  );
  const tokens = e.op("Reshape", [e.transpose(value, [0, 2, 1, 3]), e.int([0, 0, -1])]); // [B,Tk,Hv·d]
  return { attention, value: e.transpose(tokens, [0, 2, 1]), visible, position };
}

/** Weights of the queries [B,Tq,1]: equal over queries that see a key and, in self-attention, are visible themselves. */
function emitQueryWeights(e: Emitter, seen: string, visible: string, selfAttention: boolean): string {
  const seesSomething = e.reduce("ReduceMax", seen, [2]); // [B,Tq,1]
  const counted = selfAttention ? emitVisibleQueries(e, seesSomething, visible) : seesSomething;
  const count = e.op("Max", [e.reduce("ReduceSum", counted, [1]), e.float(1)]);
  return e.op("Div", [counted, count]);
}

/** Queries that are visible as keys; where Tq ≠ Tk (reduced key grids, caches) the positions cannot be compared. */
function emitVisibleQueries(e: Emitter, seesSomething: string, visible: string): string {
  const sameLength = e.op("Equal", [e.dim(seesSomething, 1), e.dim(visible, 2)]);
  const queries = e.dim(seesSomething, 1);
  const then = e.branch();
  // The cut changes nothing here; where fixed sizes differ the runtime would refuse the branch that never runs.
  const comparable = then.op("Slice", [
    then.transpose(visible, [0, 2, 1]),
    then.int([0]),
    queries,
    then.int([1]),
  ]);
  const both = then.op("Mul", [seesSomething, comparable]);
  const otherwise = e.branch();
  const all = otherwise.op("Identity", [seesSomething]);
  const counted = e.fresh("queries");
  e.conditional(
    e.squeeze(sameLength, [0]),
    { emitter: then, outputs: [both] },
    { emitter: otherwise, outputs: [all] },
    [counted],
  );
  return counted;
}

/** 0, 1, 2, … along the keys as float32 [1,1,Tk]. */
function emitPositions(e: Emitter, visible: string): string {
  const keys = e.squeeze(e.dim(visible, 2), [0]);
  return e.unsqueeze(e.toFloat(e.op("Range", [e.int(0), keys, e.int(1)])), [0, 1]);
}

/** z-score of the mean mass over the visible keys of the sample. */
function emitZScore(e: Emitter, mass: string, visible: string): string {
  const count = e.op("Max", [e.reduce("ReduceSum", visible, [2]), e.float(1)]);
  const mean = e.op("Div", [e.reduce("ReduceSum", e.op("Mul", [mass, visible]), [2]), count]);
  const deviation = e.op("Mul", [e.op("Sub", [mass, mean]), visible]);
  const variance = e.op("Div", [e.reduce("ReduceSum", e.op("Mul", [deviation, deviation]), [2]), count]);
  const floor = e.op("Max", [mean, e.float(epsilon)]);
  return e.op("Div", [
    deviation,
    e.op("Add", [e.op("Sqrt", [variance]), e.op("Mul", [floor, e.float(zScoreFloor)])]),
  ]);
}

/** One-hot rows first / last / other visible, each float32 [B,1,Tk]. */
function emitPlaces(e: Emitter, position: string, visible: string): [string, string, string] {
  const isVisible = e.cast(visible, DataType.BOOL);
  const firstPosition = e.reduce("ReduceMin", e.op("Where", [isVisible, position, e.float(1e9)]), [2]);
  const lastPosition = e.reduce("ReduceMax", e.op("Where", [isVisible, position, e.float(-1)]), [2]);
  const isFirst = e.op("And", [isVisible, e.atLeast(firstPosition, position)]);
  const isLast = e.op("And", [isVisible, e.atLeast(position, lastPosition)]);
  const isOther = e.op("And", [isVisible, e.op("Not", [e.op("Or", [isFirst, isLast])])]);
  return [e.toFloat(isFirst), e.toFloat(isLast), e.toFloat(isOther)];
}
