/**
 * Writes ONNX nodes one call at a time. The forms that differ between opsets are hidden here, because the runtime
 * resolves a function body at the opset of the model, whatever the function itself imports.
 */
import { create } from "@bufbuild/protobuf";
import { GraphProtoSchema, ValueInfoProtoSchema } from "../onnx/generated/onnx_pb.ts";
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
} from "../onnx/model.ts";

/** Smallest ai.onnx opset whose operators the hot-fix can be written in. */
export const minimumOpset = 11;

type Reduction = "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin";

/** What an emitter shares with those of its branches. */
interface Shared {
  next: number;
  /** Names of the constants made so far, by value. */
  readonly constants: Map<string, string>;
  /** Constants stand in the outermost graph, which every branch can read: one node for each value. */
  readonly outermost: NodeProto[];
}

/** Collects nodes under unique names that start with `prefix`. */
export class Emitter {
  readonly opset: number;
  readonly nodes: NodeProto[];
  readonly #prefix: string;
  readonly #shared: Shared;

  constructor(opset: number, prefix: string, shared?: Shared) {
    this.opset = opset;
    this.#prefix = prefix;
    this.nodes = [];
    this.#shared = shared ?? { next: 0, constants: new Map(), outermost: this.nodes };
  }

  /** A tensor name nobody else uses. */
  fresh(hint: string): string {
    return `${this.#prefix}${hint}_${this.#shared.next++}`;
  }

  /** Adds a node with one output and returns the output's name. `output` fixes that name. */
  op(
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    output: string = this.fresh(opType),
  ): string {
    this.nodes.push(node(opType, inputs, [output], attributes, { name: `${output}/node` }));
    return output;
  }

  /** Adds a node with several outputs. */
  ops(
    opType: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    domain = "",
  ): void {
    this.nodes.push(node(opType, inputs, outputs, attributes, { name: `${outputs[0]}/node`, domain }));
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
    const key = `${kind}:${JSON.stringify(value)}`;
    const known = this.#shared.constants.get(key);
    if (known !== undefined) return known;
    const [dims, values] = typeof value === "number" ? [[], [value]] : [[value.length], value];
    const output = this.fresh("Constant");
    this.#shared.outermost.push(
      node("Constant", [], [output], { value: make("", dims, values) }, { name: `${output}/node` }),
    );
    this.#shared.constants.set(key, output);
    return output;
  }

  cast(x: string, to: DataType): string {
    return this.op("Cast", [x], { to });
  }

  toFloat(x: string): string {
    return this.cast(x, DataType.FLOAT);
  }

  /** x ≥ y, in operators every opset has. */
  atLeast(x: string, y: string): string {
    return this.op("Not", [this.op("Less", [x, y])]);
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

  unsqueeze(x: string, axes: readonly number[]): string {
    return this.opset >= 13 ? this.op("Unsqueeze", [x, this.int(axes)]) : this.op("Unsqueeze", [x], { axes });
  }

  squeeze(x: string, axes: readonly number[]): string {
    return this.opset >= 13 ? this.op("Squeeze", [x, this.int(axes)]) : this.op("Squeeze", [x], { axes });
  }

  transpose(x: string, perm: readonly number[]): string {
    return this.op("Transpose", [x], { perm });
  }

  gather(x: string, index: string, axis = 0): string {
    return this.op("Gather", [x, index], { axis });
  }

  /** Length of one axis as an int64 [1]. */
  dim(x: string, axis: number): string {
    return this.gather(this.op("Shape", [x]), this.int([axis]));
  }

  /** x cut to the first `ends` entries of `axes`; longer ends are clamped. */
  take(x: string, ends: string, axes: readonly number[]): string {
    return this.op("Slice", [x, this.int(axes.map(() => 0)), ends, this.int(axes)]);
  }

  /** Limits every element to [low, high]. */
  clip(x: string, low: number, high: number): string {
    return this.op("Clip", [x, this.float(low), this.float(high)]);
  }

  /** An emitter for a subgraph that shares this one's names. */
  branch(): Emitter {
    return new Emitter(this.opset, this.#prefix, this.#shared);
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
