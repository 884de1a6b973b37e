/** Reads ONNX fixtures: models of real exporters with inputs, outputs, maps and a manifest of what is to be found. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { InferenceSession } from "onnxruntime-node";
import { fromOrtTensor, toOrtTensor } from "../engine/ort-tensors.ts";
import { encodeModel } from "../onnx/codec.ts";
import type { ModelProto } from "../onnx/model.ts";
import { fromHalf } from "../shared/float-bits.ts";
import { decodeSkeleton } from "../onnx/skeleton.ts";
import { readSafetensors } from "../shared/safetensors.ts";
import type { Tensor } from "../shared/tensor.ts";

export interface SiteTruth {
  readonly layer: number;
  readonly kind: "self" | "cross";
  readonly rank: number;
  readonly dims: string;
  readonly where: string;
  readonly form: string;
  readonly tq: number;
  readonly tk: number;
  readonly heads: number;
  readonly node: string | null;
  readonly prob_tensor: string | null;
}

export interface Fixture {
  readonly name: string;
  readonly folder: string;
  readonly sites: readonly SiteTruth[];
  readonly verdict: "supported" | "refuse";
  readonly reason: string | null;
}

/** What a found site and its truth are compared by; the node only where the truth names one. */
export function comparable(
  site: Pick<SiteTruth, "layer" | "kind" | "rank" | "dims" | "where" | "form"> & {
    readonly heads: number | null;
    readonly node: string | null;
  },
  withNode = false,
): object {
  const { layer, kind, rank, dims, where, form, heads, node } = site;
  return { layer, kind, rank, dims, where, form, heads, ...(withNode && { node }) };
}

/** The few fixtures that are part of the project. */
export const committedFixtures = fileURLToPath(new URL("fixtures/onnx", import.meta.url));

/** The full collection, where this machine has it: `ATPATCH_ZOO`, or `shared/onnx-zoo` beside the project. */
export function zooFolder(): string | null {
  const folder =
    process.env["ATPATCH_ZOO"] ?? fileURLToPath(new URL("../../../shared/onnx-zoo", import.meta.url));
  return existsSync(folder) ? folder : null;
}

/** All fixtures of a collection by name. */
export function fixturesIn(collection: string): Fixture[] {
  return readdirSync(collection)
    .toSorted()
    .filter((name) => existsSync(join(collection, name, "manifest.json")))
    .map((name) => {
      const folder = join(collection, name);
      const manifest: unknown = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8"));
      return { ...(manifest as Omit<Fixture, "folder">), folder };
    });
}

export function fixture(name: string): Fixture {
  const found = fixturesIn(committedFixtures).find((each) => each.name === name);
  if (!found) throw new Error(`there is no fixture ${name}`);
  return found;
}

export function modelBytes({ folder }: Fixture): Uint8Array {
  return readFileSync(join(folder, "model.onnx"));
}

/** The decoded model, its weights left in the file. */
export function skeletonOf(of: Fixture): ModelProto {
  return decodeSkeleton(modelBytes(of), "model.onnx");
}

export type TensorFile = "inputs" | "expected" | "expected_maps";

export function tensorsOf({ folder }: Fixture, file: TensorFile): ReadonlyMap<string, Tensor> {
  return readSafetensors(readFileSync(join(folder, `${file}.safetensors`))).tensors;
}

/** Runs a model whose weights lie in the fixture's folder on the fixture's inputs. */
export async function runFixture(
  of: Fixture,
  model: ModelProto | Uint8Array,
  outputs?: readonly string[],
): Promise<Record<string, Tensor>> {
  const bytes = model instanceof Uint8Array ? model : encodeModel(model);
  const session = await InferenceSession.create(bytes, {
    graphOptimizationLevel: "disabled",
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 4,
    extra: { session: { model_external_initializers_file_folder_path: of.folder } },
  });
  const inputs = tensorsOf(of, "inputs");
  const feeds = Object.fromEntries(
    session.inputNames.map((name) => {
      const input = inputs.get(name);
      if (!input) throw new Error(`fixture ${of.name} has no input ${name}`);
      return [name, toOrtTensor(name, input)];
    }),
  );
  const results = await session.run(feeds, outputs ?? session.outputNames);
  await session.release();
  return Object.fromEntries(
    Object.entries(results).map(([name, value]) => [name, fromOrtTensor(name, value)]),
  );
}

/** Largest difference between two tensors, relative to 1 + the size of the expected values. */
export function difference(got: Tensor | undefined, expected: Tensor | undefined): number {
  if (!got || !expected || got.data.length !== expected.data.length) return Infinity;
  const [a, b] = [numbersOf(got), numbersOf(expected)];
  return a.reduce(
    (most, value, i) => Math.max(most, Math.abs(value - (b[i] ?? NaN)) / (1 + Math.abs(b[i] ?? 0))),
    0,
  );
}

/** Values of a tensor as numbers, half precision decoded. */
export function numbersOf({ datatype, data }: Tensor): number[] {
  return Array.from(data as ArrayLike<number | bigint>, (value) =>
    datatype === "FP16" ? fromHalf(Number(value)) : Number(value),
  );
}

/** What a fixture's own file computes here. */
export interface Truth {
  readonly outputs: ReadonlyMap<string, Tensor>;
  /** By `site0`, `site1`, …; null where the recorded ones do not hold on this processor. */
  readonly maps: ReadonlyMap<string, Tensor> | null;
}

/** Half precision and the order of sums differ by less from processor to processor. */
const sameArithmetic = 1e-3;

/**
 * The recorded outputs and maps, as far as this processor agrees: without instructions of their own for it, the runtime adds
 * 8-bit products in 16 bits, which overflow, and a quantised model answers otherwise, patched or not.
 */
export async function truthOf(of: Fixture): Promise<Truth> {
  const recorded = tensorsOf(of, "expected");
  const own = new Map(Object.entries(await runFixture(of, modelBytes(of))));
  const agrees = [...recorded].every(([name, tensor]) => difference(own.get(name), tensor) < sameArithmetic);
  return agrees ? { outputs: recorded, maps: tensorsOf(of, "expected_maps") } : { outputs: own, maps: null };
}
