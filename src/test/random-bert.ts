/** A BERT-like text classifier with seeded random weights, written straight to ONNX. */
import { DataType, valueInfo } from "../onnx/model.ts";
import { RandomGraph, type EncoderShape } from "./random-graph.ts";

export interface BertShape extends EncoderShape {
  /** Token ids. */
  readonly vocabulary: number;
  /** T of the longest input. */
  readonly positions: number;
}

/** BERT-base: 768 wide, 12 heads, 12 layers. The vocabulary is smaller, as its rows are only looked up. */
export const bertBase: BertShape = {
  vocabulary: 2000,
  positions: 512,
  width: 768,
  heads: 12,
  layers: 12,
  mlpRatio: 4,
  classes: 2,
};

/**
 * Bytes of an opset-17 model: `input_ids`, `attention_mask` int64 [B,T] → `logits` float32 [B,classes]. A mask of 0 puts
 * −10,000 on the scores of a key.
 */
export function randomBert(shape: BertShape): Uint8Array {
  const { vocabulary, positions, width, classes } = shape;
  const graph = new RandomGraph(shape);
  const words = graph.op("Gather", "words", [
    graph.weight("words.weight", [vocabulary, width], 1),
    "input_ids",
  ]);
  const length = graph.op("Gather", "length", [
    graph.op("Shape", "shape", ["input_ids"]),
    graph.ints("last", [1]),
  ]);
  const places = graph.op("Slice", "places", [
    graph.weight("places.weight", [positions, width], 0.5),
    graph.ints("begin", [0]),
    length,
    graph.ints("axis", [0]),
  ]);
  const embedded = graph.norm("embedded", graph.op("Add", "sum", [words, places]));
  const shown = graph.op("Cast", "shown", ["attention_mask"], { to: DataType.FLOAT });
  const wide = graph.op("Unsqueeze", "shown_wide", [shown, graph.ints("wide_axes", [1, 2])]);
  const hidden = graph.op("Sub", "hidden", [graph.scalar("all", 1), wide]);
  const mask = graph.op("Mul", "mask", [hidden, graph.scalar("never", -10_000)]);
  graph.classify(graph.encoder(embedded, mask));
  return graph.encode(
    "bert",
    ["input_ids", "attention_mask"].map((name) => valueInfo(name, DataType.INT64, ["batch", "tokens"])),
    [valueInfo("logits", DataType.FLOAT, ["batch", classes])],
  );
}
