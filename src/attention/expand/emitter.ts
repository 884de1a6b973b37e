/** Writes plain operators for the opset of a model. All constants are nodes, so that it serves nested graphs too. */
import type { FreshNames } from "../../onnx/fresh-names.ts";
import {
  type DataType,
  floatTensor,
  int64Tensor,
  node,
  type AttributeValue,
  type NodeProto,
} from "../../onnx/model.ts";

/** Squeeze, Unsqueeze, Split and ReduceSum take their axes as an input since this opset. */
const axesAsInput = 13;

export class ExpansionEmitter {
  readonly nodes: NodeProto[] = [];
  readonly opset: number;
  readonly #names: FreshNames;
  readonly #prefix: string;

  /** @param prefix starts the name of every new node and tensor */
  constructor(opset: number, names: FreshNames, prefix: string) {
    this.opset = opset;
    this.#names = names;
    this.#prefix = prefix;
  }

  op(
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
  ): string {
    return this.node(type, inputs, 1, attributes).output[0] ?? "";
  }

  /** A node with several outputs. */
  node(
    type: string,
    inputs: readonly string[],
    outputs: number,
    attributes: Readonly<Record<string, AttributeValue>> = {},
  ): NodeProto {
    const name = this.#names.take(`${this.#prefix}/${type}`);
    const made = Array.from({ length: outputs }, (_, i) => this.#names.take(`${name}_output_${i}`));
    const result = node(type, inputs, made, attributes, { name });
    this.nodes.push(result);
    return result;
  }

  /** Gives a tensor the name that the rest of the graph reads. */
  name(tensor: string, as: string): void {
    const name = this.#names.take(`${this.#prefix}/Identity`);
    this.nodes.push(node("Identity", [tensor], [as], {}, { name }));
  }

  /** An int64 vector. */
  ints(...values: number[]): string {
    return this.op("Constant", [], { value: int64Tensor("", [values.length], values) });
  }

  /** An int64 scalar. */
  int(value: number): string {
    return this.op("Constant", [], { value: int64Tensor("", [], [value]) });
  }

  /** A float32 scalar. */
  float(value: number): string {
    return this.op("Constant", [], { value: floatTensor("", [], [value]) });
  }

  cast(x: string, to: DataType): string {
    return this.op("Cast", [x], { to });
  }

  reshape(x: string, ...dims: number[]): string {
    return this.op("Reshape", [x, this.ints(...dims)]);
  }

  transpose(x: string, ...perm: number[]): string {
    return this.op("Transpose", [x], { perm });
  }

  concat(axis: number, ...parts: string[]): string {
    return this.op("Concat", parts, { axis });
  }

  unsqueeze(x: string, ...axes: number[]): string {
    return this.opset < axesAsInput
      ? this.op("Unsqueeze", [x], { axes })
      : this.op("Unsqueeze", [x, this.ints(...axes)]);
  }

  squeeze(x: string, ...axes: number[]): string {
    return this.opset < axesAsInput
      ? this.op("Squeeze", [x], { axes })
      : this.op("Squeeze", [x, this.ints(...axes)]);
  }

  /** Cuts an axis into parts of the given sizes. */
  split(x: string, axis: number, sizes: readonly number[]): string[] {
    return this.opset < axesAsInput
      ? this.node("Split", [x], sizes.length, { axis, split: sizes }).output
      : this.node("Split", [x, this.ints(...sizes)], sizes.length, { axis }).output;
  }

  /** Part of an axis; bounds are int64 vectors of one item. */
  slice(x: string, from: string, to: string, axis: number): string {
    return this.op("Slice", [x, from, to, this.ints(axis)]);
  }

  /** Size of an axis as an int64 vector of one item. */
  dim(x: string, axis: number): string {
    return this.op("Gather", [this.op("Shape", [x]), this.ints(axis)], { axis: 0 });
  }

  /** 0, 1, …, n-1. @param length int64 vector of one item */
  positions(length: string): string {
    return this.op("Range", [this.int(0), this.squeeze(length, 0), this.int(1)]);
  }

  softmax(x: string, rank: number): string {
    return this.op("Softmax", [x], { axis: rank - 1 });
  }

  and(...tests: readonly string[]): string {
    return tests.reduce((a, b) => this.op("And", [a, b]));
  }

  /** a ≤ b on int64, which has an operator of its own only since opset 12. */
  notAbove(a: string, b: string): string {
    return this.op("Not", [this.op("Greater", [a, b])]);
  }
}
