/** Writes ONNX nodes, constants and branches under names of its own; knows no operator but `If`. */
import { create } from "@bufbuild/protobuf";
import { ConstantPool, type ConstantType } from "./constant-pool.ts";
import type { FreshNames } from "./fresh-names.ts";
import { GraphProtoSchema, ValueInfoProtoSchema } from "./generated/onnx_pb.ts";
import { DataType, node, type AttributeValue, type GraphProto, type NodeProto } from "./model.ts";

type Attributes = Readonly<Record<string, AttributeValue>>;

/** Collects nodes under unique names that start with `prefix`. */
export class NodeWriter {
  readonly opset: number;
  readonly nodes: NodeProto[] = [];
  protected readonly names: FreshNames;
  protected readonly prefix: string;
  readonly #constants: ConstantPool;

  /**
   * @param prefix starts the name of every new node and tensor
   * @param outer writer of the graph around this one, which then holds the constants
   */
  constructor(opset: number, names: FreshNames, prefix: string, outer?: NodeWriter) {
    this.opset = opset;
    this.names = names;
    this.prefix = prefix;
    this.#constants = outer ? outer.#constants : new ConstantPool(this.nodes, opset);
  }

  /** A tensor name nobody else uses. */
  fresh(hint: string): string {
    return this.names.take(`${this.prefix}/${hint}`);
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
    return this.#constant(DataType.FLOAT, value);
  }

  /** An int64 constant; scalar when one number is given. */
  int(value: number | readonly number[]): string {
    return this.#constant(DataType.INT64, value);
  }

  /** An int32 constant; scalar when one number is given. */
  int32(value: number | readonly number[]): string {
    return this.#constant(DataType.INT32, value);
  }

  #constant(type: ConstantType, value: number | readonly number[]): string {
    return this.#constants.take(type, value, () => this.fresh("Constant"));
  }

  /** Adds an `If` whose branches were written by {@link branch} emitters; both list outputs in the same order. */
  conditional(
    condition: string,
    then: { emitter: NodeWriter; outputs: readonly string[] },
    otherwise: { emitter: NodeWriter; outputs: readonly string[] },
    outputs: readonly string[],
  ): void {
    this.ops("If", [condition], outputs, {
      then_branch: subgraph(this.fresh("then"), then.emitter, then.outputs),
      else_branch: subgraph(this.fresh("else"), otherwise.emitter, otherwise.outputs),
    });
  }
}

function subgraph(name: string, emitter: NodeWriter, outputs: readonly string[]): GraphProto {
  return create(GraphProtoSchema, {
    name,
    node: emitter.nodes,
    // The runtime infers the types of subgraph outputs; stating none keeps the branch generic.
    output: outputs.map((output) => create(ValueInfoProtoSchema, { name: output })),
  });
}
