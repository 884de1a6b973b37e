/** A Vision Transformer with seeded random weights, as large or small as wanted, written straight to ONNX. */
import { DataType, valueInfo } from "../onnx/model.ts";
import { RandomGraph, type EncoderShape } from "./random-graph.ts";

export interface VitShape extends EncoderShape {
  readonly image: number;
  readonly patch: number;
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
/** ViT-B/16 at 224 pixels: 768 wide, 12 heads, 12 layers, 197 tokens. */
export const vitBase: VitShape = { ...vitSmall, width: 768, heads: 12 };

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
  const { image, patch, width, classes } = shape;
  const grid = image / patch;
  const graph = new RandomGraph(shape);
  const kernel = graph.weight("patches.weight", [width, 3, patch, patch], 1.7 / Math.sqrt(3 * patch * patch));
  const patches = graph.op("Conv", "patches", ["pixel_values", kernel], {
    kernel_shape: [patch, patch],
    strides: [patch, patch],
  });
  const flat = graph.op("Reshape", "flat", [patches, graph.ints("flat_shape", [0, width, -1])]);
  const tokens = graph.op("Transpose", "tokens", [flat], { perm: [0, 2, 1] });
  const size = graph.op("Shape", "shape", ["pixel_values"]);
  const batch = graph.op("Gather", "batch", [size, graph.ints("zero", [0])]);
  const clsShape = graph.op("Concat", "cls_shape", [batch, graph.ints("cls_tail", [1, width])], { axis: 0 });
  const cls = graph.op("Expand", "cls_batch", [graph.weight("cls", [1, 1, width], 1), clsShape]);
  const embedded = graph.op("Add", "embedded", [
    graph.op("Concat", "sequence", [cls, tokens], { axis: 1 }),
    graph.weight("positions", [1, grid * grid + 1, width], 0.5),
  ]);
  graph.classify(graph.encoder(embedded));
  return graph.encode(
    "vit",
    [valueInfo("pixel_values", DataType.FLOAT, ["batch", 3, image, image])],
    [valueInfo("logits", DataType.FLOAT, ["batch", classes])],
  );
}
