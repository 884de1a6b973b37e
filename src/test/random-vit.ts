/** A Vision Transformer with seeded random weights, as large or small as wanted, written straight to ONNX. */
import { create } from "@bufbuild/protobuf";
import { encodeModel } from "../onnx/codec.ts";
import { GraphProtoSchema, ModelProtoSchema, OperatorSetIdProtoSchema } from "../onnx/generated/onnx_pb.ts";
import {
  DataType,
  float,
  floatTensor,
  int64Tensor,
  node,
  valueInfo,
  type AttributeValue,
  type NodeProto,
  type TensorProto,
} from "../onnx/model.ts";
import { randomSource } from "./op-cases.ts";

export interface VitShape {
  readonly image: number;
  readonly patch: number;
  readonly width: number;
  readonly heads: number;
  readonly layers: number;
  readonly mlpRatio: number;
  readonly classes: number;
  readonly seed?: number;
}

/** ViT-S/16 at 224 pixels: 384 wide, 6 heads, 12 layers, 197 tokens. */
export const vitSmall: VitShape = {
  image: 224,
  patch: 16,
  width: 384,
  heads: 6,
  layers: 12,
  mlpRatio: 4,
  classes: 1000,
};
/** Small enough for a unit test: 2 layers, 17 tokens. */
export const vitTiny: VitShape = {
  image: 16,
  patch: 4,
  width: 16,
  heads: 2,
  layers: 2,
  mlpRatio: 2,
  classes: 5,
};

/** Bytes of an opset-17 model: `pixel_values` float32 [B,3,image,image] → `logits` [B,classes]. */
export function randomVit(shape: VitShape): Uint8Array {
  const { image, patch, width, heads, layers, classes } = shape;
  const grid = image / patch;
  const random = randomSource(shape.seed ?? 1);
  const nodes: NodeProto[] = [];
  const weights: TensorProto[] = [];
  const weight = (name: string, dims: readonly number[], scale: number, offset = 0): string => {
    const count = dims.reduce((product, dim) => product * dim, 1);
    const values = Float32Array.from({ length: count }, () => (random() - 0.5) * 2 * scale + offset);
    weights.push(floatTensor(name, dims, values));
    return name;
  };
  const ints = (name: string, values: readonly number[]): string => {
    weights.push(int64Tensor(name, [values.length], values));
    return name;
  };
  const op = (
    opType: string,
    name: string,
    inputs: readonly string[],
    attributes: Record<string, AttributeValue> = {},
  ): string => {
    nodes.push(node(opType, inputs, [name], attributes, { name: `${name}/${opType}` }));
    return name;
  };
  const linear = (name: string, x: string, inWidth: number, outWidth: number): string => {
    const product = op("MatMul", `${name}.product`, [
      x,
      weight(`${name}.weight`, [inWidth, outWidth], 1.7 / Math.sqrt(inWidth)),
    ]);
    return op("Add", name, [product, weight(`${name}.bias`, [outWidth], 0.02)]);
  };
  const norm = (name: string, x: string): string =>
    op(
      "LayerNormalization",
      name,
      [x, weight(`${name}.weight`, [width], 0.1, 1), weight(`${name}.bias`, [width], 0.05)],
      {
        axis: -1,
        epsilon: float(1e-6),
      },
    );
  const headShape = ints("head_shape", [0, 0, heads, width / heads]);
  const mergedShape = ints("merged_shape", [0, 0, width]);
  const scalar = (name: string, value: number): string => {
    weights.push(floatTensor(name, [], [value]));
    return name;
  };
  const scale = scalar("scale", 1 / Math.sqrt(width / heads));
  const [rootTwo, one, half] = [scalar("root_two", Math.SQRT2), scalar("one", 1), scalar("half", 0.5)];
  const gelu = (name: string, x: string): string => {
    const erf = op("Erf", `${name}.erf`, [op("Div", `${name}.scaled`, [x, rootTwo])]);
    const product = op("Mul", `${name}.product`, [x, op("Add", `${name}.shifted`, [erf, one])]);
    return op("Mul", name, [product, half]);
  };

  const patches = op(
    "Conv",
    "patches",
    ["pixel_values", weight("patches.weight", [width, 3, patch, patch], 1.7 / Math.sqrt(3 * patch * patch))],
    { kernel_shape: [patch, patch], strides: [patch, patch] },
  );
  const tokens = op(
    "Transpose",
    "tokens",
    [op("Reshape", "flat", [patches, ints("flat_shape", [0, width, -1])])],
    {
      perm: [0, 2, 1],
    },
  );
  const batch = op("Gather", "batch", [op("Shape", "shape", ["pixel_values"]), ints("zero", [0])]);
  const clsShape = op("Concat", "cls_shape", [batch, ints("cls_tail", [1, width])], { axis: 0 });
  const cls = op("Expand", "cls_batch", [weight("cls", [1, 1, width], 1), clsShape]);
  let x = op("Add", "embedded", [
    op("Concat", "sequence", [cls, tokens], { axis: 1 }),
    weight("positions", [1, grid * grid + 1, width], 0.5),
  ]);
  for (let layer = 0; layer < layers; layer++) {
    const at = `layer.${layer}`;
    const h = norm(`${at}.norm1`, x);
    const project = (part: string, perm: readonly number[]): string =>
      op(
        "Transpose",
        `${at}.${part}.heads`,
        [op("Reshape", `${at}.${part}.split`, [linear(`${at}.${part}`, h, width, width), headShape])],
        { perm },
      );
    const scores = op("MatMul", `${at}.scores`, [
      project("query", [0, 2, 1, 3]),
      project("key", [0, 2, 3, 1]),
    ]);
    const map = op("Softmax", `${at}.map`, [op("Mul", `${at}.scaled`, [scores, scale])], { axis: -1 });
    const context = op("MatMul", `${at}.context`, [map, project("value", [0, 2, 1, 3])]);
    const merged = op("Reshape", `${at}.merged`, [
      op("Transpose", `${at}.rows`, [context], { perm: [0, 2, 1, 3] }),
      mergedShape,
    ]);
    x = op("Add", `${at}.attended`, [x, linear(`${at}.output`, merged, width, width)]);
    const hidden = gelu(
      `${at}.gelu`,
      linear(`${at}.mlp1`, norm(`${at}.norm2`, x), width, width * shape.mlpRatio),
    );
    x = op("Add", `${at}.out`, [x, linear(`${at}.mlp2`, hidden, width * shape.mlpRatio, width)]);
  }
  const pooled = op("Gather", "pooled", [norm("norm", x), scalarInt(weights, "pooled_index", 0)], {
    axis: 1,
  });
  op("Gemm", "logits", [
    pooled,
    weight("head.weight", [width, classes], 2 / Math.sqrt(width)),
    weight("head.bias", [classes], 0.02),
  ]);
  return encodeModel(
    create(ModelProtoSchema, {
      irVersion: 8n,
      producerName: "atpatch-random-vit",
      opsetImport: [create(OperatorSetIdProtoSchema, { domain: "", version: 17n })],
      graph: create(GraphProtoSchema, {
        name: "vit",
        node: nodes,
        initializer: weights,
        input: [valueInfo("pixel_values", DataType.FLOAT, ["batch", 3, image, image])],
        output: [valueInfo("logits", DataType.FLOAT, ["batch", classes])],
      }),
    }),
  );
}

function scalarInt(weights: TensorProto[], name: string, value: number): string {
  weights.push(int64Tensor(name, [], [value]));
  return name;
}
