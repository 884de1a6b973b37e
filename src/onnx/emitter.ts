/**
 * Writes ONNX nodes one call at a time. The forms that differ between opsets are hidden here; the runtime resolves a
 * function body at the opset of the model, whatever the function itself imports.
 */
import { create } from "@bufbuild/protobuf";
import type { FreshNames } from "./fresh-names.ts";
import { GraphProtoSchema, ValueInfoProtoSchema } from "./generated/onnx_pb.ts";
import {
  DataType,
  floatTensor,
  int32Tensor,
  int64Tensor,
  node,
  type AttributeValue,
  type GraphProto,
  type NodeProto,
  type TensorProto,
} from "./model.ts";

/** Smallest ai.onnx opset whose operators the emitter writes. */
export const minimumOpset = 11;

type Attributes = Readonly<Record<string, AttributeValue>>;
type Reduction = "ReduceSum" | "ReduceSumSquare" | "ReduceMean" | "ReduceMax";

/** Constants of an emitter and its branches: they stand in the outermost graph, which every branch can read. */
interface Constants {
  /** Names by value: one node for each. */
  readonly names: Map<string, string>;
  readonly nodes: NodeProto[];
}

/** Collects nodes under unique names that start with `prefix`. */
export class Emitter {
  readonly opset: number;
  readonly nodes: NodeProto[] = [];
  readonly #names: FreshNames;
  readonly #prefix: string;
  readonly #constants: Constants;

  /**
   * @param prefix starts the name of every new node and tensor
   * @param outer constants of the emitter around this one; see {@link branch}
   */
  constructor(opset: number, names: FreshNames, prefix: string, outer?: Constants) {
    this.opset = opset;
    this.#names = names;
    this.#prefix = prefix;
    this.#constants = outer ?? { names: new Map(), nodes: this.nodes };
  }

  /** A tensor name nobody else uses. */
  fresh(hint: string): string {
    return this.#names.take(`${this.#prefix}/${hint}`);
  }

  /** Adds a node with one output and returns the output's name. `output` fixes that name. */
  op(opType: string, inputs: readonly string[], attributes: Attributes = {}, output?: string): string {
    const name = this.fresh(opType);
    this.nodes.push(node(opType, inputs, [output ?? name], attributes, { name }));
    return output ?? name;
  }

  /** Adds a node with several outputs. */
  ops(
    opType: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Attributes = {},
    domain = "",
  ): void {
    this.nodes.push(node(opType, inputs, outputs, attributes, { name: this.fresh(opType), domain }));
  }

  /** A float constant; scalar when one number is given. */
  float(value: number | readonly number[]): string {
    return this.#constant("float", value, floatTensor);
  }

  /** An int64 constant; scalar when one number is given. */
  int(value: number | readonly number[]): string {
    return this.#constant("int", value, int64Tensor);
  }

  /** An int32 constant; scalar when one number is given. */
  int32(value: number | readonly number[]): string {
    return this.#constant("int32", value, int32Tensor);
  }

  #constant(
    kind: string,
    value: number | readonly number[],
    make: (name: string, dims: readonly number[], values: readonly number[]) => TensorProto,
  ): string {
    const [dims, values] = typeof value === "number" ? [[], [value]] : [[value.length], value];
    const key = [kind, dims, ...values.map((x) => (Object.is(x, -0) ? "-0" : x))].join(" ");
    const known = this.#constants.names.get(key);
    if (known !== undefined) return known;
    const output = this.fresh("Constant");
    this.#constants.nodes.push(
      node("Constant", [], [output], { value: make("", dims, values) }, { name: output }),
    );
    this.#constants.names.set(key, output);
    return output;
  }

  cast(x: string, to: DataType): string {
    return this.op("Cast", [x], { to });
  }

  toFloat(x: string): string {
    return this.cast(x, DataType.FLOAT);
  }

  /** x ≥ y; false where either is no number. */
  atLeast(x: string, y: string): string {
    if (this.opset >= 12) return this.op("GreaterOrEqual", [x, y]);
    return this.op("Or", [this.op("Greater", [x, y]), this.op("Equal", [x, y])]);
  }

  and(...tests: readonly string[]): string {
    return tests.reduce((a, b) => this.op("And", [a, b]));
  }

  /** A reduction; `axes` null reduces everything to a scalar. */
  reduce(kind: Reduction, x: string, axes: readonly number[] | null, keepDims = true): string {
    const axesAsInput = this.opset >= (kind === "ReduceSum" ? 13 : 18);
    const keepdims = keepDims && axes !== null ? 1 : 0;
    if (axes === null) return this.op(kind, [x], { keepdims });
    return axesAsInput
      ? this.op(kind, [x, this.int(axes)], { keepdims })
      : this.op(kind, [x], { axes, keepdims });
  }

  /** Whether any element of a bool tensor is true, as a bool scalar or along `axes` (kept). */
  any(x: string, axes: readonly number[] | null = null): string {
    // ReduceMax takes no bool before opset 20.
    return this.cast(this.reduce("ReduceMax", this.cast(x, DataType.INT32), axes), DataType.BOOL);
  }

  reshape(x: string, dims: readonly number[]): string {
    return this.op("Reshape", [x, this.int(dims)]);
  }

  unsqueeze(x: string, axes: readonly number[]): string {
    return this.opset >= 13 ? this.op("Unsqueeze", [x, this.int(axes)]) : this.op("Unsqueeze", [x], { axes });
  }

  squeeze(x: string, axes: readonly number[]): string {
    return this.opset >= 13 ? this.op("Squeeze", [x, this.int(axes)]) : this.op("Squeeze", [x], { axes });
  }

  transpose(x: string, perm: readonly number[]): string {
    return this.op("Transpose", [x], { perm });
  }

  concat(parts: readonly string[], axis: number): string {
    return this.op("Concat", parts, { axis });
  }

  gather(x: string, index: string, axis = 0): string {
    return this.op("Gather", [x, index], { axis });
  }

  /** Cuts an axis into parts of the given sizes. */
  split(x: string, axis: number, sizes: readonly number[]): string[] {
    const parts = sizes.map(() => this.fresh("Split"));
    if (this.opset >= 13) this.ops("Split", [x, this.int(sizes)], parts, { axis });
    else this.ops("Split", [x], parts, { axis, split: sizes });
    return parts;
  }

  /** Part of one axis; bounds are int64 vectors of one item. */
  slice(x: string, from: string, to: string, axis: number): string {
    return this.op("Slice", [x, from, to, this.int([axis])]);
  }

  /** x cut to the first `ends` entries of `axes`; longer ends are clamped. */
  take(x: string, ends: string, axes: readonly number[]): string {
    return this.op("Slice", [x, this.int(axes.map(() => 0)), ends, this.int(axes)]);
  }

  /** Lengths of the axes from `start` to before `end` as an int64 vector. */
  dims(x: string, start: number, end: number): string {
    if (this.opset >= 15) return this.op("Shape", [x], { start, end });
    return this.slice(this.op("Shape", [x]), this.int([start]), this.int([end]), 0);
  }

  /** Length of one axis as an int64 [1]. */
  dim(x: string, axis: number): string {
    return this.dims(x, axis, axis + 1);
  }

  /** 0, 1, …, n-1 as int64 [n]. @param length int64 vector of one item */
  positions(length: string): string {
    return this.op("Range", [this.int(0), this.squeeze(length, [0]), this.int(1)]);
  }

  /** Limits every element to [low, high]. */
  clip(x: string, low: number, high: number): string {
    return this.op("Clip", [x, this.float(low), this.float(high)]);
  }

  /** An emitter for a subgraph: same names, and constants in the outermost graph. */
  branch(): Emitter {
    return new Emitter(this.opset, this.#names, this.#prefix, this.#constants);
  }

  /** Adds an `If` whose branches were written by {@link branch} emitters; both list outputs in the same order. */
  conditional(
    condition: string,
    then: { emitter: Emitter; outputs: readonly string[] },
    otherwise: { emitter: Emitter; outputs: readonly string[] },
    outputs: readonly string[],
  ): void {
    this.ops("If", [condition], outputs, {
      then_branch: subgraph(this.fresh("then"), then.emitter, then.outputs),
      else_branch: subgraph(this.fresh("else"), otherwise.emitter, otherwise.outputs),
    });
  }
}

function subgraph(name: string, emitter: Emitter, outputs: readonly string[]): GraphProto {
  return create(GraphProtoSchema, {
    name,
    node: emitter.nodes,
    // The runtime infers the types of subgraph outputs; stating none keeps the branch generic.
    output: outputs.map((output) => create(ValueInfoProtoSchema, { name: output })),
  });
}
