/** Operators that keep the axes of their input, or broadcast several inputs. */
import { operatorOf } from "../contraction.ts";
import { broadcastAxes, type Rule, type RuleContext } from "./rule.ts";

const ms = (...names: string[]): string[] => names.map((name) => `com.microsoft.${name}`);

/** First output has the axes of the first input. */
const keeping = [
  ..."Identity Cast Dropout Softmax LogSoftmax Hardmax LayerNormalization RMSNormalization GroupNormalization".split(
    " ",
  ),
  ..."InstanceNormalization BatchNormalization MeanVarianceNormalization LpNormalization LRN".split(" "),
  ..."SimplifiedLayerNormalization QuantizeLinear DequantizeLinear DynamicQuantizeLinear Clip Trilu CumSum".split(
    " ",
  ),
  ..."Relu LeakyRelu Sigmoid Tanh Exp Log Sqrt Reciprocal Neg Abs Erf Gelu Elu Selu Celu Softplus Softsign".split(
    " ",
  ),
  ..."HardSigmoid HardSwish Mish Swish ThresholdedRelu Shrink Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh".split(
    " ",
  ),
  ..."Acosh Atanh Floor Ceil Round Sign Not IsNaN IsInf BitwiseNot CastLike ScatterND ScatterElements Scatter".split(
    " ",
  ),
  ..."ReverseSequence EyeLike RandomNormalLike RandomUniformLike Bernoulli RotaryEmbedding".split(" "),
  ...ms("QuickGelu", "FastGelu", "Gelu", "BiasGelu", "QLinearSoftmax", "QLinearSigmoid", "QLinearLeakyRelu"),
  ...ms("RotaryEmbedding", "SkipLayerNormalization", "SkipSimplifiedLayerNormalization", "BiasSoftmax"),
  ...ms("QuantizeLinear", "DequantizeLinear", "BiasDropout", "BitmaskDropout", "FusedLayerNormalization"),
];

const broadcasting = [
  ..."Add Sub Mul Div Pow Max Min Mean Sum And Or Xor Equal Greater Less GreaterOrEqual LessOrEqual Where".split(
    " ",
  ),
  ..."Mod PRelu BitShift BitwiseAnd BitwiseOr BitwiseXor".split(" "),
];

const keep: Rule = (c) => {
  const axes = c.axes(0);
  // Dropout's mask has the axes of the data, scale and zero point none; statistics are nobody's concern here.
  const rest = c.node.opType === "Dropout" ? axes : c.node.opType === "DynamicQuantizeLinear" ? [] : null;
  return c.node.output.map((_, i) => (i === 0 ? axes : rest));
};

/** Skip and bias of the fused normalisations broadcast; their fourth output is the sum before the normalisation. */
const skip: Rule = (c) => {
  const sum = broadcastInputs(c, [0, 1]);
  return c.node.output.map((_, i) => (i === 0 || i === 3 ? sum : null));
};

const broadcast: Rule = (c) => [
  broadcastInputs(
    c,
    c.node.input.map((_, i) => i),
  ),
];

const quantizedPair: Rule = (c) => [broadcastInputs(c, [0, 3])];

function broadcastInputs(c: RuleContext, inputs: readonly number[]): ReturnType<typeof broadcastAxes> {
  return broadcastAxes(inputs.map((input) => ({ axes: c.axes(input), origin: c.origin(input) })));
}

const rules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...keeping.map((name): [string, Rule] => [name, keep]),
  ...broadcasting.map((name): [string, Rule] => [name, broadcast]),
  ...ms("SkipLayerNormalization", "SkipSimplifiedLayerNormalization").map((name): [string, Rule] => [
    name,
    skip,
  ]),
  ...ms("QLinearAdd", "QLinearMul").map((name): [string, Rule] => [name, quantizedPair]),
]);

export function elementwiseRule(c: RuleContext): Rule | undefined {
  return rules.get(operatorOf(c.node));
}

/** Whether the operator treats every element by itself (or row-wise), so that a map keeps its axes through it. */
export function keepsAxes(operator: string): boolean {
  return rules.get(operator) === keep;
}
