/** The engine with the real operator: a small transformer whose weights stay in the original file. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { neutralTensors } from "../detector/neutral.ts";
import { instrument } from "../hotfix/instrument.ts";
import type { DetectorTensors } from "../shared/detector-tensors.ts";
import { modeCodes } from "../shared/patched-model.ts";
import { float32, tensor, type Tensor } from "../shared/tensor.ts";
import { randomVit, vitTiny } from "../test/random-vit.ts";
import type { InferenceEngine, RunRequest } from "./engine.ts";
import { createOrtEngine } from "./ort-engine.ts";

const keys = (vitTiny.image / vitTiny.patch) ** 2 + 1;
const pixels = 3 * vitTiny.image ** 2;
const image = (seed: number): number[] =>
  Array.from({ length: pixels }, (_, at) => Math.sin(seed * 1000 + at) / 2 + 0.5);
const images = (...seeds: number[]): Tensor =>
  float32([seeds.length, 3, vitTiny.image, vitTiny.image], seeds.flatMap(image));

const request = (seeds: number[], rest: Partial<RunRequest> = {}): RunRequest => ({
  inputs: { pixel_values: images(...seeds) },
  batch: seeds.length,
  modes: new Int32Array(seeds.length).fill(modeCodes.enforce),
  detector: null,
  ...rest,
});

/** Flags the last visible column, and nothing else, at the named site. */
function lastColumnDetector(site: number): DetectorTensors {
  const features = 11 + vitTiny.width;
  const lastVisible = 9;
  const weight = new Float32Array(features);
  weight[lastVisible] = 1;
  const slot = new BigInt64Array(vitTiny.layers).fill(-1n);
  slot[site] = 0n;
  return {
    ...neutralTensors(vitTiny.layers),
    slot: tensor("INT64", [vitTiny.layers], slot),
    feature_mean: float32([1, features], new Float32Array(features)),
    feature_scale: float32([1, features], new Float32Array(features).fill(1)),
    conv1_weight: float32([1, 1, features, 1], weight),
    conv2_weight: float32([1, 1, 1, 1], [1]),
    conv3_weight: float32([1, 1, 1, 1], [1]),
    thresholds: float32([1, 2], [0.5, 0.5]),
  };
}

/** A row of columns: `value` in the last one, 0 elsewhere. */
const lastColumn = (value: number): number[] =>
  Array.from({ length: keys }, (_, key) => (key === keys - 1 ? value : 0));

/** Forces the last column of the named samples. */
const forceLast = (...samples: boolean[]): Readonly<Record<number, Tensor>> => ({
  0: {
    datatype: "BOOL",
    shape: [samples.length, keys],
    data: Uint8Array.from(samples.flatMap((force) => lastColumn(force ? 1 : 0))),
  },
});

describe("an instrumented transformer", () => {
  const bytes = randomVit(vitTiny);
  let folder: string;
  let engine: InferenceEngine;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "atpatch-engine-"));
    await writeFile(join(folder, "model.onnx"), bytes);
    const patched = instrument({ bytes, name: "model.onnx" });
    const neutral = neutralTensors(patched.description.sites.length);
    engine = await createOrtEngine({ patched, folder, neutral, workers: 1, threads: 1, queue: 8 });
    await engine.publish("early", lastColumnDetector(0));
    await engine.publish("late", lastColumnDetector(1));
  });
  afterAll(async () => {
    await engine.close();
    await rm(folder, { recursive: true });
  });

  const logits = async (of: RunRequest): Promise<Tensor> => (await engine.run(of)).outputs["logits"]!;

  it("answers like the original when nothing is flagged", async () => {
    const session = await InferenceSession.create(bytes, { intraOpNumThreads: 1 });
    const { data, shape } = images(1, 2);
    const { logits: original } = await session.run({
      pixel_values: new OrtTensor("float32", data as Float32Array, shape),
    });
    const patched = await logits(request([1, 2]));
    expect(patched.shape).toEqual([2, vitTiny.classes]);
    for (const [at, value] of patched.data.entries())
      expect(value).toBeCloseTo(Number(original!.data[at]), 5);
  });

  it("changes the forced sample of a batch, and no bit of its neighbour", async () => {
    const plain = await logits(request([1, 2]));
    const mixed = await logits(request([1, 2], { force: forceLast(false, true) }));
    const { classes } = vitTiny;
    expect(mixed.data.subarray(0, classes)).toEqual(plain.data.subarray(0, classes));
    expect(mixed.data.subarray(classes)).not.toEqual(plain.data.subarray(classes));
  });

  it("flags at the first site in one pass", async () => {
    const { flags, rechecked, outputs } = await engine.run(request([1], { detector: "early" }));
    expect([...flags[0]!.firstSite]).toEqual(lastColumn(1));
    expect(flags[0]!.score[keys - 1]).toBe(1);
    expect(rechecked).toEqual([]);
    expect(outputs["logits"]).toEqual(await logits(request([1], { force: forceLast(true) })));
  });

  it("gives a sample flagged at a later site what forcing from the first site on gives", async () => {
    const late = request([1, 2], { detector: "late" });
    const { flags, rechecked, outputs } = await engine.run({
      ...late,
      modes: Int32Array.of(modeCodes.enforce, modeCodes.observe),
    });
    expect([...flags[0]!.firstSite]).toEqual([...lastColumn(2), ...lastColumn(2)]);
    expect(rechecked).toHaveLength(1);
    const forced = await logits(request([1, 2], { force: forceLast(true, false) }));
    expect(outputs["logits"]).toEqual(forced);
  });
});
