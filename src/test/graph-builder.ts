/** Builds small graphs for tests. */
import { create } from "@bufbuild/protobuf";
import { GraphProtoSchema, ModelProtoSchema, OperatorSetIdProtoSchema } from "../onnx/generated/onnx_pb.ts";
import {
  DataType,
  floatTensor,
  int64Tensor,
  node,
  valueInfo,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from "../onnx/model.ts";

/** Collects nodes and constants of one graph. */
export class GraphBuilder {
  readonly nodes: NodeProto[] = [];
  readonly constants: TensorProto[] = [];
  #count = 0;

  op(
    type: string,
    inputs: readonly string[],
    attributes: Parameters<typeof node>[3] = {},
    domain = "",
  ): string {
    const output = this.fresh("t");
    this.nodes.push(node(type, inputs, [output], attributes, { domain }));
    return output;
  }

  weight(...dims: number[]): string {
    const count = dims.reduce((a, b) => a * b, 1);
    const name = this.fresh("w");
    const values = Array.from({ length: count }, (_, i) => Math.sin(i * 7.3 + this.#count));
    this.constants.push(floatTensor(name, dims, values));
    return name;
  }

  ints(...values: number[]): string {
    const name = this.fresh("i");
    this.constants.push(int64Tensor(name, [values.length], values));
    return name;
  }

  scalar(value: number): string {
    const name = this.fresh("s");
    this.constants.push(floatTensor(name, [], [value]));
    return name;
  }

  fresh(hint: string): string {
    return `${hint}${this.#count++}`;
  }

  /** @param inputs name → dimensions; the output is `y` */
  model(
    result: string,
    inputs: Readonly<Record<string, readonly (number | string)[]>>,
    opset: number,
  ): ModelProto {
    this.nodes.push(node("Identity", [result], ["y"]));
    return create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: ["", "com.microsoft"].map((domain) =>
        create(OperatorSetIdProtoSchema, { domain, version: domain === "" ? BigInt(opset) : 1n }),
      ),
      graph: create(GraphProtoSchema, {
        name: "g",
        node: this.nodes,
        initializer: this.constants,
        input: Object.entries(inputs).map(([name, dims]) => valueInfo(name, DataType.FLOAT, dims)),
        output: [valueInfo("y", DataType.FLOAT)],
      }),
    });
  }
}
