/** The models that the cost of the hot-fix is measured on: two shipped ones, and random ones of usual sizes. */
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseBundle } from "../detector/bundle.ts";
import type { DetectorTensors } from "../shared/detector-tensors.ts";
import { float32, tensor, type Tensor } from "../shared/tensor.ts";
import { randomSource } from "../test/op-cases.ts";
import { bertBase, randomBert } from "../test/random-bert.ts";
import { randomVit, vitBase, vitSmall, type VitShape } from "../test/random-vit.ts";
import type { BenchModel } from "./contestants.ts";

/** Names, and how to make the models; random ones are written below `scratch`. */
export function benchModels(scratch: string): readonly (readonly [name: string, make: () => BenchModel])[] {
  const written = (file: string, bytes: Uint8Array): Pick<BenchModel, "folder" | "file" | "bytes"> => {
    writeFileSync(join(scratch, file), bytes);
    return { folder: scratch, file, bytes };
  };
  const vit = (name: string, file: string, shape: VitShape) =>
    [
      name,
      (): BenchModel => ({
        name,
        ...written(file, randomVit(shape)),
        inputs: (batch) => ({ pixel_values: pixels(batch, shape.image) }),
        keys: (shape.image / shape.patch) ** 2 + 1,
        heads: shape.heads,
        depth: shape.width / shape.heads,
      }),
    ] as const;
  const shipped = (
    name: string,
    folder: string,
    of: Pick<BenchModel, "inputs" | "keys" | "heads" | "depth">,
  ) =>
    [
      name,
      (): BenchModel => ({
        name,
        folder,
        file: "model.onnx",
        bytes: readFileSync(join(folder, "model.onnx")),
        detector: shippedDetector(folder),
        ...of,
      }),
    ] as const;
  const [words, tokens] = [24, 128];
  const bert = `random BERT-base (768 wide, 12 layers, T = ${tokens})`;
  return [
    shipped("gtsrb-vit (96 wide, 4 layers, T = 65)", "models/gtsrb-vit", {
      inputs: (batch) => ({ pixel_values: pixels(batch, 32) }),
      keys: 65,
      heads: 3,
      depth: 32,
    }),
    shipped(`sst2-bert (T = ${words})`, "models/sst2-bert", {
      inputs: (batch) => ({
        ...text(batch, words, 1_000),
        token_type_ids: tensor("INT64", [batch, words], new BigInt64Array(batch * words)),
      }),
      keys: words,
      ...headsOf("models/sst2-bert"),
    }),
    vit("random ViT-S (384 wide, 12 layers, T = 197)", "vit-s.onnx", vitSmall),
    vit("random ViT-B (768 wide, 12 layers, T = 197)", "vit-b.onnx", vitBase),
    [
      bert,
      () => ({
        name: bert,
        ...written("bert.onnx", randomBert(bertBase)),
        inputs: (batch) => text(batch, tokens, bertBase.vocabulary),
        keys: tokens,
        heads: bertBase.heads,
        depth: bertBase.width / bertBase.heads,
      }),
    ],
  ];
}

function shippedDetector(folder: string): DetectorTensors {
  const [name = ""] = readdirSync(join(folder, "detectors"));
  return parseBundle(readFileSync(join(folder, "detectors", name))).tensors;
}

function pixels(batch: number, image: number): Tensor {
  const random = randomSource(7);
  return float32(
    [batch, 3, image, image],
    Float32Array.from({ length: batch * 3 * image * image }, () => random()),
  );
}

/** Ids without padding. */
function text(batch: number, tokens: number, vocabulary: number): Readonly<Record<string, Tensor>> {
  const random = randomSource(7);
  const of = (value: () => number): Tensor =>
    tensor(
      "INT64",
      [batch, tokens],
      BigInt64Array.from({ length: batch * tokens }, () => BigInt(value())),
    );
  return { input_ids: of(() => 1 + Math.floor(random() * (vocabulary - 1))), attention_mask: of(() => 1) };
}

function headsOf(folder: string): Pick<BenchModel, "heads" | "depth"> {
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8")) as {
    readonly num_attention_heads: number;
    readonly hidden_size: number;
  };
  return { heads: config.num_attention_heads, depth: config.hidden_size / config.num_attention_heads };
}
