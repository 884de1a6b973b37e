/**
 * A pointwise detector, as ONNX nodes: a perceptron on the standardised values of every key.
 *
 *   s_j = w3·relu(W2·relu(W1·x_j + b1) + b2) + b3      logit of key j, x_j its standardised value
 *
 * The same network as `detect.ts` has, with a kernel of 1 and no attention features. Hidden keys are scored too and come to
 * nothing: they have no neighbours to reach.
 */
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
  /** bool [B·Tk, 1]: keys that reach the gate. */
  readonly reaching: string;
  /** Emits what flags are made of, where it is needed. */
  readonly flagged: (e: Emitter) => { readonly visible: string; readonly scores: Scores };
}

/**
 * @param map float32 [B,H,Tq,Tk]
 * @param value float32 [B,Hv,Tk,d]
 * @param detector its network and thresholds as `pointwiseTensor` lays them out
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
  const layer = (input: string, name: "conv1" | "conv2" | "conv3"): string =>
    e.op("Gemm", [input, detector[`${name}_weight`], detector[`${name}_bias`]], { transB: 1 });
  const hidden1 = e.op("Relu", [layer(standardised, "conv1")]);
  const hidden2 = e.op("Relu", [layer(hidden1, "conv2")]);
  const logits = layer(hidden2, "conv3"); // [B·Tk,1]
  const { thresholds } = detector;
  const reaching = e.atLeast(logits, e.gather(thresholds, e.int(0)));
  return {
    largest,
    values,
    reaching,
    flagged: (inner) => {
      const shape = inner.op("Shape", [largest]);
      const columns = (each: string): string => inner.op("Reshape", [each, shape]);
      const scores = { logits: columns(logits), thresholds, reaching: columns(reaching) };
      return { visible: inner.positive(largest), scores };
    },
  };
}
