/** Element type of every tensor of a graph, as far as the operators tell. */
import { operatorOf } from "./contraction.ts";
import type { GraphIndex } from "./graph-index.ts";
import { DataType, findAttribute, intAttribute, type NodeProto, type ValueInfoProto } from "./model.ts";

const booleans = new Set(
  "Equal Greater Less GreaterOrEqual LessOrEqual And Or Xor Not IsNaN IsInf".split(" "),
);
const integers = new Set("Shape Size ArgMax ArgMin NonZero".split(" "));

/** Position of the input whose type the first output has, where that is not the first input. */
const typeInput: Readonly<Record<string, number>> = {
  Where: 1,
  DequantizeLinear: 1,
  CastLike: 1,
  OneHot: 2,
  QLinearMatMul: 7,
  QLinearConv: 7,
  "com.microsoft.DequantizeLinear": 1,
  "com.microsoft.EmbedLayerNormalization": 2,
  "com.microsoft.QLinearSoftmax": 4,
  "com.microsoft.MatMulIntegerToFloat": 2,
};

export class ElementTypes {
  readonly #types = new Map<string, number>();
  readonly #outer: ElementTypes | null;

  constructor(index: GraphIndex, outer: ElementTypes | null = null) {
    this.#outer = outer;
    for (const input of index.graph.input) this.#set(input.name, declared(input));
    for (const { name, dataType } of index.graph.initializer) this.#set(name, dataType);
    for (const node of index.graph.node) {
      node.output.forEach((name, i) => {
        const info = index.valueInfo(name);
        this.#set(name, this.#made(node, i) ?? (info && declared(info)));
      });
    }
  }

  /** Undefined where it cannot be told. */
  of(name: string): number | undefined {
    return this.#types.get(name) ?? this.#outer?.of(name);
  }

  #set(name: string, type: number | undefined): void {
    if (type !== undefined && type !== DataType.UNDEFINED) this.#types.set(name, type);
  }

  #made(node: NodeProto, output: number): number | undefined {
    const operator = operatorOf(node);
    const input = (i: number): number | undefined => this.of(node.input[i] ?? "");
    if (booleans.has(operator)) return DataType.BOOL;
    if (integers.has(operator)) return DataType.INT64;
    switch (operator) {
      case "Cast":
        return intAttribute(node, "to", DataType.FLOAT);
      case "Constant":
        return constantType(node);
      case "ConstantOfShape":
        return findAttribute(node, "value")?.t?.dataType ?? DataType.FLOAT;
      case "QuantizeLinear":
      case "com.microsoft.QuantizeLinear":
        return intAttribute(node, "output_dtype", 0) || (input(2) ?? DataType.UINT8);
      case "DynamicQuantizeLinear":
        return output === 1 ? DataType.FLOAT : DataType.UINT8;
      case "MatMulInteger":
      case "ConvInteger":
        return DataType.INT32;
      case "TopK":
        return output === 1 ? DataType.INT64 : input(0);
      case "If":
        return undefined;
      default:
        return operator.includes("Quantized") ? undefined : input(typeInput[operator] ?? 0);
    }
  }
}

function declared(info: ValueInfoProto): number | undefined {
  const type = info.type?.value;
  return type?.case === "tensorType" ? type.value.elemType : undefined;
}

function constantType(node: NodeProto): number | undefined {
  const value = findAttribute(node, "value")?.t;
  if (value) return value.dataType;
  if (findAttribute(node, "value_float") ?? findAttribute(node, "value_floats")) return DataType.FLOAT;
  return (findAttribute(node, "value_int") ?? findAttribute(node, "value_ints")) ? DataType.INT64 : undefined;
}
