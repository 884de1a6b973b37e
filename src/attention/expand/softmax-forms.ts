/** com.microsoft QLinearSoftmax and BiasSoftmax: a softmax with something around it. */
import { intAttribute } from "../../onnx/model.ts";
import { fromFront } from "../../onnx/axes/rule.ts";
import { input, type Expand } from "./expansion.ts";

/** DequantizeLinear, Softmax, QuantizeLinear. The `opset` attribute, not the model's, tells what the axis means. */
export const expandQLinearSoftmax: Expand = (fused) => {
  const { e, node, scope } = fused;
  const axes = scope.axes.axes(input(fused, 0));
  if (!axes) return { reason: "the rank of its input is unknown" };
  const axis = fromFront(intAttribute(node, "axis", -1), axes.length);
  if (axis === null) return { reason: "its axis lies outside the tensor" };
  const flattens = intAttribute(node, "opset", e.opset) < 13;
  if (flattens && axes.slice(axis + 1).some((trailing) => trailing.length > 0)) {
    return { reason: `it normalises over all axes from ${axis} on at once` };
  }
  if (e.opset < 13 && axis !== axes.length - 1)
    return { reason: "it normalises over an axis that is not the last" };
  const [x = "", scale = "", zero = "", outScale = "", outZero = ""] = [0, 1, 2, 3, 4].map((i) =>
    input(fused, i),
  );
  const scores = e.op("DequantizeLinear", [x, scale, ...(zero === "" ? [] : [zero])]);
  const weights = e.op("Softmax", [scores], { axis });
  e.op(
    "Identity",
    [e.op("QuantizeLinear", [weights, outScale, ...(outZero === "" ? [] : [outZero])])],
    {},
    node.output[0] ?? "",
  );
  return { weights };
};

/** Softmax of the sum; the bias broadcasts as NumPy has it. */
export const expandBiasSoftmax: Expand = (fused) => {
  const { e, node, scope } = fused;
  const rank = scope.axes.rank(input(fused, 0));
  const axis = rank === null ? null : fromFront(intAttribute(node, "axis", 1), rank);
  if (rank === null || axis !== rank - 1) return { reason: "it normalises over more than the last axis" };
  if (intAttribute(node, "is_inner_broadcast", 0) !== 0)
    return { reason: "its bias repeats inside the batch" };
  const weights = e.op("Softmax", [e.op("Add", [input(fused, 0), input(fused, 1)])], { axis: rank - 1 });
  e.op("Identity", [weights], {}, node.output[0] ?? "");
  return { weights };
};
