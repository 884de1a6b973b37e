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
import type { Emitter } from "../onnx/emitter.ts";
import { attentionFeatureCount } from "../shared/detector-tensors.ts";
import { epsilon, tieFactor, zScoreFloor } from "./constants.ts";

/**
 * Whether padded queries can be told by the keys: queries and keys are the same positions whenever Tq = Tk ("self"), at
 * every run ("square"), or never ("cross").
 */
export type QueryPositions = "self" | "square" | "cross";

/** Tensor names of the features of one map. */
export interface Features {
  /** [φ; v], float32 [B, 11 + Hv·d, Tk] */
  readonly all: string;
  /** float32 [B, 1, Tk]: 1 for visible keys, which some query of some head looks at, else 0. */
  readonly visible: string;
}

/**
 * @param map float32 [B,H,Tq,Tk]
 * @param value float32 [B,Hv,Tk,d]
 * @param wantsAttention bool [1]: whether φ is computed. Otherwise most of the work is saved, and φ is 0 but for its last
 *   row, which is 1 for visible keys
 */
export function emitFeatures(
  e: Emitter,
  map: string,
  value: string,
  queries: QueryPositions,
  wantsAttention: string,
): Features {
  const visible = e.positive(emitOverRows(e, "ReduceMax", map)); // [B,1,Tk]
  // [B,Hv,Tk,d] → [B,Tk,Hv·d] would copy as well, and φ is at hand by rows.
  const values = e.op("Reshape", [
    e.transpose(value, [0, 1, 3, 2]),
    e.concat([e.int([0, -1]), e.dim(value, 2)], 0),
  ]);

  const wanted = e.branch();
  const unwanted = e.branch();
  const all = e.fresh("features");
  const attention = emitAttentionFeatures(wanted, queries, map, visible);
  const visibility = unwanted.pad(visible, 1, attentionFeatureCount - 1, 3);
  e.conditional(
    wantsAttention,
    { emitter: wanted, outputs: [wanted.concat([attention, values], 1)] },
    { emitter: unwanted, outputs: [unwanted.concat([visibility, values], 1)] },
    [all],
  );
  return { all, visible };
}

/**
 * The largest or least entry of every column over heads and queries: float32 [B,1,Tk]. One axis after the other, which keeps
 * the runtime in its caches: a quarter of the time of both at once (6 heads, 197 keys).
 */
export function emitOverRows(e: Emitter, kind: "ReduceMax" | "ReduceMin", map: string): string {
  return e.reduce(kind, e.reduce(kind, map, [2], false), [1]);
}

/**
 * The mean map of all heads, float32 [B,1,Tq,Tk], as a convolution: the runtime takes ten times as long to reduce an outer
 * axis.
 */
export function emitHeadMean(e: Emitter, map: string): string {
  const heads = e.dim(map, 1);
  const shape = e.concat([e.int([1]), heads, e.int([1, 1])], 0);
  const share = e.op("Div", [e.reshape(e.float(1), [1, 1, 1, 1]), e.toFloat(heads)]);
  const weights = e.expand(share, shape);
  return e.op("Conv", [map, weights]);
}

/** φ, float32 [B,11,Tk]. @param visibleRow float32 [B,1,Tk] */
function emitAttentionFeatures(e: Emitter, queries: QueryPositions, map: string, visibleRow: string): string {
  const headMean = e.squeeze(emitHeadMean(e, map), [1]); // [B,Tq,Tk]
  const seen = e.positive(headMean); // [B,Tq,Tk]
  const visible = e.squeeze(visibleRow, [1]); // [B,Tk]
  const visibleCount = emitVisibleCount(e, visibleRow); // [B,1,1]
  const keysSeen = e.reduce("ReduceSum", seen, [2], false); // [B,Tq]
  const counts = emitCounts(e, queries, e.smaller(keysSeen, e.float(1)), visible); // [B,Tq]
  const queryCount = e.larger(e.reduce("ReduceSum", counts, [1]), e.float(1));
  // Equal weights over the queries that count; they sum to 1.
  const weights = e.op("Div", [counts, queryCount]);
  const weightRow = e.unsqueeze(weights, [1]); // [B,1,Tq]
  const uniform = e.reduce("ReduceSum", e.op("Div", [weights, e.larger(keysSeen, e.float(1))]), [1]);

  const headMass = e.op("MatMul", [e.unsqueeze(weightRow, [1]), map]); // [B,H,1,Tk]
  const pooledHeads = e.take(map, [1], [2]); // [B,H,1,Tk]
  const mass = e.reduce("ReduceMean", headMass, [1], false); // [B,1,Tk]
  const masses = e.concat(
    [
      mass,
      e.reduce("ReduceMax", e.op("Mul", [headMean, e.unsqueeze(counts, [2])]), [1]),
      e.take(headMean, [1], [1]),
      e.reduce("ReduceMax", headMass, [1], false),
      e.reduce("ReduceMax", pooledHeads, [1], false),
    ],
    1,
  );
  const unit = e.unsqueeze(e.op("Add", [uniform, e.float(epsilon)]), [2]); // [B,1,1]
  const logRatios = e.op("Log", [e.op("Div", [e.op("Add", [masses, e.float(epsilon)]), unit])]);

  const deviation = e.op("Sub", [headMean, mass]);
  const variance = e.op("MatMul", [weightRow, e.op("Mul", [deviation, deviation])]);
  const spread = e.op("Div", [e.op("Sqrt", [variance]), e.op("Add", [mass, e.float(epsilon)])]);
  const rowLargest = e.op("Mul", [e.reduce("ReduceMax", headMean, [2]), e.float(tieFactor)]);
  const share = e.op("MatMul", [weightRow, e.toFloat(e.atLeast(headMean, rowLargest))]);
  const zScore = emitZScore(e, mass, visibleRow, visibleCount);
  return e.concat([logRatios, spread, share, zScore, emitPlaces(e, visibleRow)], 1);
}

/** Number of visible keys, at least 1: float32 [B,1,1]. */
export function emitVisibleCount(e: Emitter, visible: string): string {
  return e.larger(e.reduce("ReduceSum", visible, [2]), e.float(1));
}

/** Queries that count, [B,Tq]: they see a key and, in self-attention, are visible as keys themselves. */
function emitCounts(e: Emitter, queries: QueryPositions, seesSomething: string, visible: string): string {
  if (queries === "cross") return seesSomething;
  return queries === "square"
    ? e.op("Mul", [seesSomething, visible])
    : emitComparableQueries(e, seesSomething, visible);
}

/**
 * The same where the lengths are known at run time only: where Tq ≠ Tk (reduced key grids, caches) the
 * positions cannot be compared.
 */
function emitComparableQueries(e: Emitter, seesSomething: string, visible: string): string {
  const queries = e.dim(seesSomething, 1);
  const sameLength = e.op("Equal", [queries, e.dim(visible, 1)]);
  const then = e.branch();
  // The cut changes nothing here; where fixed sizes differ the runtime would refuse the branch that never runs.
  const both = then.op("Mul", [seesSomething, then.take(visible, queries, [1])]);
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

/** z-score of the mean mass over the visible keys of the sample; hidden keys have no mass. */
function emitZScore(e: Emitter, mass: string, visible: string, count: string): string {
  const mean = e.op("Div", [e.reduce("ReduceSum", mass, [2]), count]);
  const deviation = e.op("Mul", [e.op("Sub", [mass, mean]), visible]);
  const variance = e.op("Div", [e.reduce("ReduceSumSquare", deviation, [2]), count]);
  const floor = e.op("Mul", [e.larger(mean, e.float(epsilon)), e.float(zScoreFloor)]);
  return e.op("Div", [deviation, e.op("Add", [e.op("Sqrt", [variance]), floor])]);
}

/** One-hot rows first / last / other visible: float32 [B,3,Tk]. */
function emitPlaces(e: Emitter, visible: string): string {
  const beyond = e.concat([e.runningSum(visible, false), e.runningSum(visible, true)], 1);
  const outermost = e.toFloat(e.less(beyond, e.float(0.5)));
  const ends = e.op("Mul", [outermost, visible]);
  return e.concat([ends, e.op("Sub", [visible, e.reduce("ReduceMax", ends, [1])])], 1);
}
