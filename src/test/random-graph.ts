/** Builds transformer encoders with seeded random weights, node by node; see random-vit.ts and random-bert.ts. */
import { create } from "@bufbuild/protobuf";
import { encodeModel } from "../onnx/codec.ts";
import {
  GraphProtoSchema,
  ModelProtoSchema,
  OperatorSetIdProtoSchema,
  type ValueInfoProto,
} from "../onnx/generated/onnx_pb.ts";
import {
  float,
  floatTensor,
  int64Tensor,
  node,
  type AttributeValue,
  type NodeProto,
  type TensorProto,
} from "../onnx/model.ts";
import { randomSource } from "./op-cases.ts";

export interface EncoderShape {
  readonly width: number;
  readonly heads: number;
  readonly layers: number;
  readonly mlpRatio: number;
  readonly classes: number;
  readonly seed?: number;
}

export class RandomGraph {
  readonly #shape: EncoderShape;
  readonly #random: () => number;
  readonly #nodes: NodeProto[] = [];
  readonly #weights: TensorProto[] = [];

  constructor(shape: EncoderShape) {
    this.#shape = shape;
    this.#random = randomSource(shape.seed ?? 1);
  }

  /** Uniform in `offset` ± `scale`. */
  weight(name: string, dims: readonly number[], scale: number, offset = 0): string {
    const count = dims.reduce((product, dim) => product * dim, 1);
    const values = Float32Array.from({ length: count }, () => (this.#random() - 0.5) * 2 * scale + offset);
    this.#weights.push(floatTensor(name, dims, values));
    return name;
  }

  ints(name: string, values: readonly number[]): string {
    this.#weights.push(int64Tensor(name, [values.length], values));
    return name;
  }

  int(name: string, value: number): string {
    this.#weights.push(int64Tensor(name, [], [value]));
    return name;
  }

  scalar(name: string, value: number): string {
    this.#weights.push(floatTensor(name, [], [value]));
    return name;
  }

  op(
    opType: string,
    name: string,
    inputs: readonly string[],
    attributes: Record<string, AttributeValue> = {},
  ): string {
    this.#nodes.push(node(opType, inputs, [name], attributes, { name: `${name}/${opType}` }));
    return name;
  }

  linear(name: string, x: string, inWidth: number, outWidth: number): string {
    const weights = this.weight(`${name}.weight`, [inWidth, outWidth], 1.7 / Math.sqrt(inWidth));
    const product = this.op("MatMul", `${name}.product`, [x, weights]);
    return this.op("Add", name, [product, this.weight(`${name}.bias`, [outWidth], 0.02)]);
  }

  norm(name: string, x: string): string {
    const { width } = this.#shape;
    const inputs = [
      x,
      this.weight(`${name}.weight`, [width], 0.1, 1),
      this.weight(`${name}.bias`, [width], 0.05),
    ];
    return this.op("LayerNormalization", name, inputs, { axis: -1, epsilon: float(1e-6) });
  }

  /** All layers, with the normalisation before each part, over `embedded` [B,T,width]; `mask` is added to the scores. */
  encoder(embedded: string, mask?: string): string {
    const { width, heads, layers, mlpRatio } = this.#shape;
    const headShape = this.ints("head_shape", [0, 0, heads, width / heads]);
    const mergedShape = this.ints("merged_shape", [0, 0, width]);
    const scale = this.scalar("scale", 1 / Math.sqrt(width / heads));
    const gelu = this.#gelu();
    let x = embedded;
    for (let layer = 0; layer < layers; layer++) {
      const at = `layer.${layer}`;
      const h = this.norm(`${at}.norm1`, x);
      const project = (part: string, perm: readonly number[]): string => {
        const projected = this.linear(`${at}.${part}`, h, width, width);
        const split = this.op("Reshape", `${at}.${part}.split`, [projected, headShape]);
        return this.op("Transpose", `${at}.${part}.heads`, [split], { perm });
      };
      const scores = this.op("MatMul", `${at}.scores`, [
        project("query", [0, 2, 1, 3]),
        project("key", [0, 2, 3, 1]),
      ]);
      const scaled = this.op("Mul", `${at}.scaled`, [scores, scale]);
      const masked = mask === undefined ? scaled : this.op("Add", `${at}.masked`, [scaled, mask]);
      const map = this.op("Softmax", `${at}.map`, [masked], { axis: -1 });
      const context = this.op("MatMul", `${at}.context`, [map, project("value", [0, 2, 1, 3])]);
      const rows = this.op("Transpose", `${at}.rows`, [context], { perm: [0, 2, 1, 3] });
      const merged = this.op("Reshape", `${at}.merged`, [rows, mergedShape]);
      x = this.op("Add", `${at}.attended`, [x, this.linear(`${at}.output`, merged, width, width)]);
      const wide = this.linear(`${at}.mlp1`, this.norm(`${at}.norm2`, x), width, width * mlpRatio);
      const narrow = this.linear(`${at}.mlp2`, gelu(`${at}.gelu`, wide), width * mlpRatio, width);
      x = this.op("Add", `${at}.out`, [x, narrow]);
    }
    return x;
  }

  /** `logits` [B,classes] from the first position. */
  classify(x: string): void {
    const { width, classes } = this.#shape;
    const pooled = this.op("Gather", "pooled", [this.norm("norm", x), this.int("pooled_index", 0)], {
      axis: 1,
    });
    this.op("Gemm", "logits", [
      pooled,
      this.weight("head.weight", [width, classes], 2 / Math.sqrt(width)),
      this.weight("head.bias", [classes], 0.02),
    ]);
  }

  /** Bytes of the model, opset 17. */
  encode(name: string, input: ValueInfoProto[], output: ValueInfoProto[]): Uint8Array {
    return encodeModel(
      create(ModelProtoSchema, {
        irVersion: 8n,
        producerName: `atpatch-random-${name}`,
        opsetImport: [create(OperatorSetIdProtoSchema, { domain: "", version: 17n })],
        graph: create(GraphProtoSchema, {
          name,
          node: this.#nodes,
          initializer: this.#weights,
          input,
          output,
        }),
      }),
    );
  }

  #gelu(): (name: string, x: string) => string {
    const [rootTwo, one, half] = [
      this.scalar("root_two", Math.SQRT2),
      this.scalar("one", 1),
      this.scalar("half", 0.5),
    ];
    return (name, x) => {
      const erf = this.op("Erf", `${name}.erf`, [this.op("Div", `${name}.scaled`, [x, rootTwo])]);
      const product = this.op("Mul", `${name}.product`, [x, this.op("Add", `${name}.shifted`, [erf, one])]);
      return this.op("Mul", name, [product, half]);
    };
  }
}
