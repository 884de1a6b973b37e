/** All that is known of one graph while it is searched. */
import { contractionOf, type Contraction } from "../onnx/contraction.ts";
import { GraphAxes } from "../onnx/axes/infer.ts";
import { origins } from "../onnx/axes/rule.ts";
import type { Axis } from "../onnx/axes/atom.ts";
import { ElementTypes } from "../onnx/element-types.ts";
import { GraphIndex } from "../onnx/graph-index.ts";
import type { GraphProto, NodeProto } from "../onnx/model.ts";

export class Scope {
  readonly graph: GraphProto;
  readonly opset: number;
  readonly index: GraphIndex;
  readonly axes: GraphAxes;
  readonly types: ElementTypes;
  readonly #dataProducts = new Map<NodeProto, boolean>();

  constructor(graph: GraphProto, opset: number, outer: Scope | null = null) {
    this.graph = graph;
    this.opset = opset;
    this.index = new GraphIndex(graph, outer?.index ?? null);
    this.axes = new GraphAxes(this.index, opset, outer?.axes ?? null);
    this.types = new ElementTypes(this.index, outer?.types ?? null);
  }

  /** Whether the content of an input of the model reaches the tensor. */
  isData(name: string): boolean {
    return this.axes.origin(name) === origins.data;
  }

  /** Axes of an input of a node. */
  inputAxes(node: NodeProto, input: number): readonly Axis[] | null {
    const name = node.input[input] ?? "";
    return name === "" ? null : this.axes.axes(name);
  }

  /** The product a node computes; `instead` gives ranks of tensors that are followed with marks. */
  contraction(node: NodeProto, instead?: ReadonlyMap<string, readonly Axis[]>): Contraction | null {
    return contractionOf(node, (input) => {
      const name = node.input[input] ?? "";
      return instead?.get(name)?.length ?? this.axes.rank(name);
    });
  }

  /** Whether the node multiplies two tensors that both depend on the model's inputs. */
  isDataProduct(node: NodeProto): boolean {
    const known = this.#dataProducts.get(node);
    if (known !== undefined) return known;
    const product = this.contraction(node);
    const sides = product ? [product.left, product.right] : [];
    const result = sides.length > 0 && sides.every(({ input }) => this.isData(node.input[input] ?? ""));
    this.#dataProducts.set(node, result);
    return result;
  }
}
