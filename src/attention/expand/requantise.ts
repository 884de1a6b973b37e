/** Gives every quantised product of two activations operands that are quantised for it alone. */
import { operatorOf } from "../../onnx/contraction.ts";
import type { NodeProto } from "../../onnx/model.ts";
import type { Scope } from "../scope.ts";
import type { Emitter } from "../../onnx/emitter.ts";

/**
 * A QLinearMatMul whose operand another quantised operator makes, or others read too, has no float tensor to patch.
 * DequantizeLinear and QuantizeLinear with the operand's own scale give it one and change no value.
 * @returns nodes to put before the product; its inputs are changed in place
 */
export function requantise(scope: Scope, node: NodeProto, e: Emitter): readonly NodeProto[] {
  if (operatorOf(node) !== "QLinearMatMul" || !scope.isDataProduct(node)) return [];
  for (const at of [0, 3]) {
    const [tensor = "", scale = "", zero = ""] = node.input.slice(at, at + 3);
    const maker = scope.index.maker(tensor)?.node;
    const alone =
      scope.index.readers(tensor).length === 1 &&
      !scope.index.isOutput(tensor) &&
      !scope.index.isCaptured(tensor);
    if (maker && operatorOf(maker) === "QuantizeLinear" && alone) continue;
    const float = e.op("DequantizeLinear", [tensor, scale, zero]);
    node.input[at] = e.op("QuantizeLinear", [float, scale, zero]);
  }
  return e.nodes;
}
