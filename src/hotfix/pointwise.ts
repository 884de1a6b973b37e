/**
 * A pointwise detector, as ONNX nodes: a perceptron on the standardised values of every key.
 *
 *   s_j = w3·relu(W2·relu(W1·x_j + b1) + b2) + b3      logit of key j, x_j its standardised value
 *
 * The same network as `detect.ts` has, with a kernel of 1 and no attention features. Hidden keys are scored too and come to
 * nothing: they have no neighbours to reach.
 */
import { DataType } from "../onnx/model.ts";
import { featureLimit } from "./constants.ts";
import type { DetectorNames, Scores } from "./detect.ts";
import type { Emitter } from "../onnx/emitter.ts";
import { emitOverRows } from "./features.ts";

/** What a pointwise detector found at a site, as tensor names. */
export interface PointwiseScores {
  /** float32 [B,1,Tk]: the largest attention that some query of some head pays to every key. */
  readonly largest: string;
  /** float32 [B·Tk, Hv·d]: the values of every key. */
  readonly values: string;
  /** bool scalar: false where surely no key reaches the gate. */
  readonly mayReach: string;
  /** Emits what flags are made of, where it is needed. */
  readonly flagged: (e: Emitter) => { readonly visible: string; readonly scores: Scores };
}

/**
 * @param map float32 [B,H,Tq,Tk]
 * @param value float32 [B,Hv,Tk,d]
 * @param detector its network and thresholds as `pointwiseTensors` lays them out
 */
export function emitPointwise(
  e: Emitter,
  map: string,
  value: string,
  detector: DetectorNames,
): PointwiseScores {
  const largest = emitOverRows(e, "ReduceMax", map);
  const values = e.op("Flatten", [e.transpose(value, [0, 2, 1, 3])], { axis: 2 });
  const centred = e.op("Sub", [values, detector.feature_mean]);
  const standardised = e.clip(e.op("Mul", [centred, detector.feature_scale]), -featureLimit, featureLimit);
  const layer = (at: Emitter, input: string, weight: string, bias: string): string =>
    at.op("Gemm", [input, weight, bias], { transB: 1 });
  const hidden1 = e.op("Relu", [layer(e, standardised, detector.conv1_weight, detector.conv1_bias)]);
  const hidden2 = e.op("Relu", [layer(e, hidden1, detector.conv2_weight, detector.conv2_bias)]);
  // The bias has the gate in it. A sum, since one logit that is no number makes it no number, which counts as true below: a
  // maximum might pass over the others.
  const above = e.op("Relu", [layer(e, hidden2, detector.conv3_weight, detector.conv3_bias)]);
  const { thresholds } = detector;
  return {
    largest,
    values,
    mayReach: e.cast(e.reduce("ReduceSum", above, null), DataType.BOOL),
    flagged: (inner) => {
      const bias = inner.slice(thresholds, inner.int([2]), inner.int([3]), 0);
      const rows = layer(inner, hidden2, detector.conv3_weight, bias); // [B·Tk,1]
      const logits = inner.op("Reshape", [rows, inner.op("Shape", [largest])]);
      const reaching = inner.atLeast(logits, inner.gather(thresholds, inner.int(0)));
      return { visible: inner.positive(largest), scores: { logits, thresholds, reaching } };
    },
  };
}
