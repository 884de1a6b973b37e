/** What may lie between a map and the values it meets. */
import { keepsAxes } from "../onnx/axes/elementwise-rules.ts";
import { operatorOf } from "../onnx/contraction.ts";
import type { TensorReader } from "../onnx/graph-index.ts";
import type { Scope } from "./scope.ts";

/**
 * "value": changes or selects entries; "layout": moves axes only; "quantise": leaves or enters float; "aside": looks at
 * the map without handing it on (a test, a sum for a report); otherwise the reason why no map can be followed through.
 */
export type Step = "value" | "layout" | "quantise" | "aside" | { readonly reason: string };

const values = new Set(
  "Identity Cast CastLike Dropout Clip Relu Trilu ScatterND ScatterElements Slice Split Pad".split(" "),
);
const layouts = new Set("Reshape Transpose Squeeze Unsqueeze Flatten Expand".split(" "));
const quantising = new Set(
  ["QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"].flatMap((name) => [
    name,
    `com.microsoft.${name}`,
  ]),
);
const tests = new Set("IsNaN IsInf Shape Size Greater Less GreaterOrEqual LessOrEqual Equal Not".split(" "));

/** What the node does to the map it reads at that input. */
export function stepOf(scope: Scope, { node, input }: TensorReader): Step {
  const operator = operatorOf(node);
  if (tests.has(operator)) return "aside";
  if (layouts.has(operator)) return input === 0 ? "layout" : "aside";
  if (quantising.has(operator)) return input === 0 ? "quantise" : "aside";
  if (values.has(operator)) return input === 0 ? "value" : "aside";
  switch (operator) {
    case "Mul":
      return "value";
    case "Div":
      return input === 0 ? "value" : { reason: "something is divided by the weights" };
    case "Where":
      return input === 0 ? "aside" : "value";
    case "Add":
    case "Sub":
      return isScalar(scope, node.input[1 - input] ?? "")
        ? "value"
        : { reason: "another tensor is added to the weights before they meet the values" };
    case "Max":
    case "Min":
    case "Pow":
      return node.input.every((name, i) => i === input || isScalar(scope, name))
        ? "value"
        : { reason: `the weights are combined with another tensor by ${operator}` };
    case "Gather":
      return input === 0 && scope.axes.origin(node.input[1] ?? "") === 0
        ? "value"
        : { reason: "entries of the weights are picked by data" };
    case "TopK":
      return { reason: "the largest weights pick experts or entries (TopK)" };
    case "Conv":
      return { reason: "the weights are mixed by a convolution" };
    case "Concat":
      return { reason: "the weights are joined with another tensor" };
    default:
      if (operator.startsWith("Reduce"))
        return {
          reason: `the weights are summed up element by element (${operator}), not contracted with values`,
        };
      return {
        reason: keepsAxes(operator)
          ? `${operator} changes the weights`
          : `the weights go into ${operator}, which is no product with values`,
      };
  }
}

/** A constant with a single value. */
function isScalar(scope: Scope, name: string): boolean {
  return !scope.isData(name) && (scope.axes.axes(name)?.every((axis) => axis.length === 0) ?? false);
}
