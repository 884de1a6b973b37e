/**
 * A transformer small enough to compute by hand, as an ONNX file: x [batch, 5, 4] → one self-attention site (2 heads of
 * 2) → first token → logits [batch, 3]. Values are the tokens themselves, so a detector can read a token's content.
 */
import { create } from "@bufbuild/protobuf";
import { encodeBundle, parseBundle, type Bundle } from "../detector/bundle.ts";
import { encodeModel } from "../onnx/codec.ts";
import { GraphProtoSchema, ModelProtoSchema } from "../onnx/generated/onnx_pb.ts";
import { DataType, floatTensor, int64Tensor, node, valueInfo, type NodeProto } from "../onnx/model.ts";
import { attentionFeatureCount } from "../shared/detector-tensors.ts";
import type { PatchDescription } from "../shared/patched-model.ts";
import { float32, tensor, type NumericDatatype } from "../shared/tensor.ts";

export const tinyTokens = 5;
export const tinyWidth = 4;
export const tinyLabels = ["calm", "wild", "odd"];

export interface TinyModelOptions {
  /** Products of 512×512 matrices that every run computes besides; each takes about 5 ms on one thread. */
  readonly ballast?: number;
  /** Takes any number of tokens. */
  readonly anyLength?: boolean;
  /** For each of these datatypes an input `in_<datatype>` [batch, n] that comes out again as `out_<datatype>`. */
  readonly echo?: readonly NumericDatatype[];
}

const onnxTypes: Partial<Record<NumericDatatype, DataType>> = {
  BOOL: DataType.BOOL,
  UINT8: DataType.UINT8,
  UINT16: DataType.UINT16,
  UINT32: DataType.UINT32,
  UINT64: DataType.UINT64,
  INT8: DataType.INT8,
  INT16: DataType.INT16,
  INT32: DataType.INT32,
  INT64: DataType.INT64,
  FP16: DataType.FLOAT16,
  FP32: DataType.FLOAT,
  FP64: DataType.DOUBLE,
};

/** Bytes of the model file. */
export function tinyModel({ ballast = 0, anyLength = false, echo = [] }: TinyModelOptions = {}): Uint8Array {
  const identity = Array.from({ length: 16 }, (_, i) => (i % 5 === 0 ? 1 : 0));
  const heads = (of: string): NodeProto[] => [
    node("MatMul", ["x", `w_${of}`], [`${of}_flat`], {}, { name: `/${of}/MatMul` }),
    node("Reshape", [`${of}_flat`, "to_heads"], [`${of}_split`]),
    node("Transpose", [`${of}_split`], [of], { perm: [0, 2, 1, 3] }),
  ];
  const graph = create(GraphProtoSchema, {
    name: "tiny",
    input: [
      valueInfo("x", DataType.FLOAT, ["batch", anyLength ? "tokens" : tinyTokens, tinyWidth]),
      ...echo.map((datatype) => valueInfo(`in_${datatype}`, onnxTypes[datatype]!, ["batch", "n"])),
    ],
    output: [
      valueInfo("logits", DataType.FLOAT, ["batch", tinyLabels.length]),
      ...echo.map((datatype) => valueInfo(`out_${datatype}`, onnxTypes[datatype]!, ["batch", "n"])),
    ],
    initializer: [
      floatTensor(
        "w_q",
        [4, 4],
        identity.map((value) => value * 0.5),
      ),
      floatTensor(
        "w_k",
        [4, 4],
        identity.map((value) => value * 0.5),
      ),
      floatTensor("w_v", [4, 4], identity),
      floatTensor("w_out", [4, 3], [0, 1, 0, 0, 0, 1, 1, 0, 0, 0.5, 0, 0.5]),
      int64Tensor("to_heads", [4], [0, 0, 2, 2]),
      int64Tensor("to_tokens", [3], [0, 0, 4]),
      int64Tensor("first", [], [0]),
      ...(ballast > 0
        ? [
            int64Tensor("square", [2], [512, 512]),
            floatTensor("share", [], [1 / 512]),
            floatTensor("zero_share", [], [0]),
          ]
        : []),
    ],
    node: [
      ...heads("q"),
      ...heads("k"),
      ...heads("v"),
      node("Transpose", ["k"], ["k_t"], { perm: [0, 1, 3, 2] }),
      node("MatMul", ["q", "k_t"], ["scores"], {}, { name: "/attention/MatMul" }),
      node("Softmax", ["scores"], ["map"], { axis: -1 }, { name: "/attention/Softmax" }),
      node("MatMul", ["map", "v"], ["mixed"], {}, { name: "/attention/MatMul_1" }),
      node("Transpose", ["mixed"], ["mixed_t"], { perm: [0, 2, 1, 3] }),
      node("Reshape", ["mixed_t", "to_tokens"], ["tokens"]),
      node("Gather", ["tokens", "first"], ["pooled"], { axis: 1 }),
      node("MatMul", ["pooled", "w_out"], [ballast > 0 ? "bare" : "logits"], {}, { name: "/head/MatMul" }),
      ...(ballast > 0 ? ballastNodes(ballast) : []),
      ...echo.map((datatype) => node("Identity", [`in_${datatype}`], [`out_${datatype}`])),
    ],
  });
  return encodeModel(
    create(ModelProtoSchema, {
      irVersion: 8n,
      producerName: "tiny",
      opsetImport: [{ domain: "", version: 17n }],
      graph,
    }),
  );
}

/** Squares a matrix of 1/512 again and again, which leaves it as it is, and adds 0 times its sum to the logits. */
function ballastNodes(count: number): NodeProto[] {
  return [
    // Depends on the input, so that nothing can be computed ahead.
    node("ReduceMax", ["x"], ["largest"], { keepdims: 0 }),
    node("Mul", ["largest", "zero_share"], ["nothing"]),
    node("Add", ["nothing", "share"], ["seed"]),
    node("Expand", ["seed", "square"], ["square_0"]),
    ...Array.from({ length: count }, (_, i) =>
      node("MatMul", [`square_${i}`, `square_${i}`], [`square_${i + 1}`]),
    ),
    node("ReduceMax", [`square_${count}`], ["top"], { keepdims: 0 }),
    node("Mul", ["top", "zero_share"], ["weight"]),
    node("Add", ["bare", "weight"], ["logits"]),
  ];
}

/** A sample: token t is [marks[t] ?? 0, 1, 0, 0]; a mark above the threshold of {@link markDetector} is flagged. */
export function tinySample(marks: Readonly<Record<number, number>> = {}): number[][] {
  return Array.from({ length: tinyTokens }, (_, token) => [marks[token] ?? 0, 1, 0, 0]);
}

export interface MarkDetectorOptions {
  /** Least mark that is flagged; the mark is the logit. */
  readonly threshold?: number;
  /** Key positions that the reference is bound to; any number when absent. */
  readonly keys?: number;
  /** Value that a flagged token gets. */
  readonly value?: readonly [number, number];
  /** Attention that a flagged token gets, as a ratio to uniform, and the most that all of them may take. */
  readonly attention?: { readonly ratio: number; readonly most: number };
  /** What the detector takes for the width of a token. */
  readonly width?: number;
}

/** The bundle of {@link markDetector} for a model that nobody serves. */
export function tinyBundle(options: MarkDetectorOptions = {}): Bundle {
  return parseBundle(markDetector({ fingerprint: `sha256-${"0".repeat(64)}` }, options));
}

/** A bundle whose detector flags the tokens whose first feature is at least the threshold. */
export function markDetector(
  description: Pick<PatchDescription, "fingerprint">,
  options: MarkDetectorOptions = {},
): Uint8Array {
  const {
    threshold = 5,
    keys,
    value = [0, 1],
    width = tinyWidth,
    attention = { ratio: 1, most: 0.5 },
  } = options;
  const features = attentionFeatureCount + width;
  const mark = Array.from({ length: features }, (_, i) => (i === attentionFeatureCount ? 1 : 0));
  const one = float32([1, 1, 1, 1], [1]);
  const none = float32([1, 1], [0]);
  return encodeBundle(
    {
      format: 1,
      model: description.fingerprint,
      sites: 1,
      detectionSites: [0],
      features: "value",
      kernel: 1,
      reference: "benign",
      keys: keys ?? null,
      thresholds: [{ site: 0, gate: threshold, column: threshold }],
      provenance: { createdAt: "2026-01-01T00:00:00.000Z" },
      report: { clean: { n: 0 } },
    },
    {
      slot: tensor("INT64", [1], BigInt64Array.of(0n)),
      feature_mean: float32([1, features], new Float32Array(features)),
      feature_scale: float32([1, features], new Float32Array(features).fill(1, attentionFeatureCount)),
      conv1_weight: float32([1, 1, features, 1], mark),
      conv1_bias: none,
      conv2_weight: one,
      conv2_bias: none,
      conv3_weight: one,
      conv3_bias: none,
      thresholds: float32([1, 2], [threshold, threshold]),
      reference_attention: float32([1, 1, 1, keys ?? 1], new Float32Array(keys ?? 1).fill(attention.ratio)),
      reference_value: float32([1, 1, 1, 2], value),
      settings: float32([5], [attention.most, 0.5, 1, 1, 1]),
    },
  );
}
