/**
 * The ways a benchmark runs one model: bare, behind AtPatch without a detector, with one of all features that flags nothing, and
 * everything; the same with the model's own detector where it ships one.
 */
import { neutralTensors } from "../detector/neutral.ts";
import { createOrtEngine } from "../engine/ort-engine.ts";
import { instrument } from "../hotfix/instrument.ts";
import { attentionFeatureCount, settingIndex, type DetectorTensors } from "../shared/detector-tensors.ts";
import { float32, tensor, type Tensor } from "../shared/tensor.ts";
import { randomSource } from "../test/op-cases.ts";
import { startBare } from "./bare.ts";

export interface BenchModel {
  readonly name: string;
  /** Model file, and the folder it lies in. */
  readonly folder: string;
  readonly file: string;
  readonly bytes: Uint8Array;
  /** Inputs of a batch. */
  readonly inputs: (batch: number) => Readonly<Record<string, Tensor>>;
  readonly keys: number;
  readonly heads: number;
  readonly depth: number;
  /** The detector that the model ships. */
  readonly detector?: DetectorTensors;
}

export interface Contestant {
  readonly name: string;
  run(batch: number): Promise<void>;
}

/** Starts a bare worker and an engine for the model, both with one session of `threads` intra-op threads. */
export async function contestants(
  model: BenchModel,
  threads: number,
): Promise<{ list: Contestant[]; close(): Promise<void> }> {
  const bare = await startBare({ path: `${model.folder}/${model.file}`, threads });
  const patched = instrument({ bytes: model.bytes, name: model.file });
  const sites = patched.description.sites.length;
  const engine = await createOrtEngine({
    patched,
    folder: model.folder,
    neutral: neutralTensors(sites),
    workers: 1,
    threads,
    queue: 4,
  });
  const [never, always] = [1e9, -1e9];
  const publish = async (prefix: string, detector: DetectorTensors): Promise<void> => {
    await engine.publish(`${prefix}quiet`, withThreshold(detector, model.keys, never));
    await engine.publish(`${prefix}loud`, withThreshold(detector, model.keys, always));
  };
  await publish("", benchDetector(model, sites));
  if (model.detector) await publish("own ", model.detector);
  const known = new Map<number, Readonly<Record<string, Tensor>>>();
  const inputs = (batch: number): Readonly<Record<string, Tensor>> => {
    const made = known.get(batch) ?? model.inputs(batch);
    known.set(batch, made);
    return made;
  };
  const throughEngine = (name: string, detector: string | null, mode: number): Contestant => ({
    name,
    async run(batch) {
      await engine.run({
        inputs: inputs(batch),
        batch,
        modes: new Int32Array(batch).fill(mode),
        detector,
      });
    },
  });
  return {
    list: [
      {
        name: "bare onnxruntime",
        run: (batch) => bare.run(inputs(batch)),
      },
      throughEngine("AtPatch, no detector", null, 2),
      throughEngine("AtPatch, nothing flagged", "quiet", 2),
      throughEngine("AtPatch, everything flagged", "loud", 2),
      ...(model.detector
        ? [
            throughEngine("own detector, nothing flagged", "own quiet", 2),
            throughEngine("own detector, everything flagged", "own loud", 2),
          ]
        : []),
    ],
    async close() {
      await bare.close();
      await engine.close();
    },
  };
}

/** A detector with random weights at the first site and a reference for every position. */
export function benchDetector(
  model: Pick<BenchModel, "heads" | "keys" | "depth">,
  sites: number,
): DetectorTensors {
  const { heads, keys, depth } = model;
  const features = attentionFeatureCount + heads * depth;
  const random = randomSource(11);
  const list = (...shape: number[]) =>
    float32(
      shape,
      Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random() - 0.5),
    );
  return {
    slot: tensor(
      "INT64",
      [sites],
      BigInt64Array.from({ length: sites }, (_, site) => (site === 0 ? 0n : -1n)),
    ),
    feature_mean: list(1, features),
    feature_scale: float32([1, features], new Float32Array(features).fill(0.5)),
    conv1_weight: list(1, 32, features, 3),
    conv1_bias: list(1, 32),
    conv2_weight: list(1, 16, 32, 1),
    conv2_bias: list(1, 16),
    conv3_weight: list(1, 1, 16, 1),
    conv3_bias: list(1, 1),
    thresholds: float32([1, 2], [0, 0]),
    reference_attention: float32(
      [sites, heads, keys, keys],
      new Float32Array(sites * heads * keys * keys).fill(1 / keys),
    ),
    reference_value: list(sites, heads, keys, depth),
    settings: float32([5], [0.5, 0.5, 1, 0, 1]),
  };
}

/** The detector with a threshold that decides what it flags, at most 8 columns: what a patch trigger touches. */
export function withThreshold(detector: DetectorTensors, keys: number, threshold: number): DetectorTensors {
  const { thresholds, settings } = detector;
  const limited = Float32Array.from(settings.data as Float32Array);
  limited[settingIndex.maxFlaggedShare] = 8.5 / keys;
  return {
    ...detector,
    thresholds: float32(thresholds.shape, new Float32Array(thresholds.data.length).fill(threshold)),
    settings: float32(settings.shape, limited),
  };
}
