/** The value side of a product: the tensor to patch, where it is read, and how its axes lie. */
import { operatorOf } from "../onnx/contraction.ts";
import { isFloat } from "../onnx/data-types.ts";
import { DataType } from "../onnx/model.ts";
import type { TensorReader } from "../onnx/graph-index.ts";
import type { Axis } from "../onnx/axes/atom.ts";
import type { MapPath } from "./follow-map.ts";
import { batchAtoms, sampleLayout } from "./sample-layout.ts";
import type { Scope } from "./scope.ts";
import type { ValueProduct } from "./site.ts";

export interface Values {
  readonly product: ValueProduct;
  /** Axis the keys run over on the value side. */
  readonly keyAxis: Axis;
}

/** @returns the values, or why they cannot be patched */
export function valuesOf(scope: Scope, path: MapPath): Values | { readonly reason: string } {
  const { product: node, contraction, side, keyLetter } = path;
  const own = contraction[side === "left" ? "right" : "left"];
  const map = contraction[side];
  const operand = node.input[own.input] ?? "";
  const axes = scope.axes.axes(operand);
  const features = own.axes.flatMap((letter, i) => (map.axes.includes(letter) ? [] : [i]));
  const [feature] = features;
  if (!axes || features.length !== 1 || feature === undefined)
    return { reason: "the values have no single feature axis" };
  const key = own.axes.indexOf(keyLetter);
  const positions = own.axes.flatMap((_, i) => (i === key || i === feature ? [] : [i]));
  const layout = sampleLayout(axes, positions, batchAtoms(scope));
  if ("reason" in layout) return { reason: `the values are not per sample: ${layout.reason}` };
  const permutation = [...layout.order, key, feature];
  const { value, reader } = beforeQuantising(scope, { node, input: own.input });
  if (!isFloat(scope.types.of(value) ?? DataType.FLOAT))
    return { reason: "the values are quantised together with another use of them" };
  return {
    product: {
      node,
      value,
      valueReader: reader,
      leading: layout.leading,
      valuePermutation: permutation.every((from, to) => from === to) ? null : permutation,
    },
    keyAxis: axes[key] ?? [],
  };
}

/** Steps from a quantised operand back to the float tensor, as long as nothing else reads what lies between. */
function beforeQuantising(scope: Scope, at: TensorReader): { value: string; reader: TensorReader } {
  let reader = at;
  const operand = at.node.input[at.input] ?? "";
  let best = { value: operand, reader: at };
  for (let steps = 0; steps < 2; steps++) {
    const tensor = reader.node.input[reader.input] ?? "";
    const maker = scope.index.maker(tensor);
    const alone =
      scope.index.readers(tensor).length === 1 &&
      !scope.index.isOutput(tensor) &&
      !scope.index.isCaptured(tensor);
    if (!maker || !alone || maker.output !== 0) break;
    const operator = operatorOf(maker.node).replace("com.microsoft.", "");
    reader = { node: maker.node, input: 0 };
    if (operator === "QuantizeLinear" || operator === "DynamicQuantizeLinear") {
      best = { value: maker.node.input[0] ?? "", reader };
      break;
    }
    if (operator !== "DequantizeLinear") break;
  }
  return best;
}
