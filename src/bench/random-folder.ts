/** A model folder with a random vision transformer of ten classes, whose inference takes some 15 ms, and a detector for it. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeBundle } from "../detector/bundle.ts";
import { instrument } from "../hotfix/instrument.ts";
import { randomVit, type VitShape } from "../test/random-vit.ts";
import { benchDetector, withThreshold } from "./contestants.ts";

/** 64 × 64 pixels, 65 tokens. */
export const randomShape: VitShape = {
  image: 64,
  patch: 8,
  width: 256,
  heads: 4,
  layers: 8,
  mlpRatio: 4,
  classes: 10,
};

/** Writes the model. @returns its bytes */
export function writeRandomModel(folder: string): Uint8Array {
  mkdirSync(folder, { recursive: true });
  const bytes = randomVit(randomShape);
  writeFileSync(join(folder, "model.onnx"), bytes);
  return bytes;
}

/** The same with what a classifier of pictures needs, and with a detector of all features that flags nothing. */
export function writeRandomFolder(folder: string): void {
  const bytes = writeRandomModel(folder);
  const { image: size, patch, heads, width, classes } = randomShape;
  const write = (name: string, value: unknown): void =>
    writeFileSync(join(folder, name), JSON.stringify(value));
  write("config.json", {
    model_type: "vit",
    image_size: size,
    patch_size: patch,
    id2label: Object.fromEntries([...Array(classes).keys()].map((at) => [at, `class ${at}`])),
  });
  write("preprocessor_config.json", {
    image_processor_type: "ViTImageProcessor",
    do_resize: true,
    size: { height: size, width: size },
    do_rescale: true,
    do_normalize: false,
  });
  const { description } = instrument({ bytes, name: "model.onnx" });
  const sites = description.sites.length;
  const keys = (size / patch) ** 2 + 1;
  const threshold = 1e9;
  mkdirSync(join(folder, "detectors"));
  const bundle = encodeBundle(
    {
      format: 1,
      model: description.fingerprint,
      sites,
      detectionSites: [0],
      features: "attention+value",
      kernel: 3,
      reference: "benign",
      keys,
      thresholds: [{ site: 0, gate: threshold, column: threshold }],
      provenance: { createdAt: "2026-01-01T00:00:00.000Z" },
      report: {},
    },
    withThreshold(benchDetector({ heads, keys, depth: width / heads }, sites), keys, threshold),
  );
  writeFileSync(join(folder, "detectors", "quiet.safetensors"), bundle);
}
