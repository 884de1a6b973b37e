/** The maps a scan found, taken out of a run in the layout of the ground truth. */
import { expect } from "vitest";
import type { AttentionSite } from "../attention/site.ts";
import { valueInfo, type ModelProto } from "../onnx/model.ts";
import type { Tensor } from "../shared/tensor.ts";
import { numbersOf, runFixture, type Fixture, type Truth } from "./zoo.ts";

/** Adds the map of every site of the main graph to the outputs, runs the model and brings the maps to [B,H,Tq,Tk] order. */
export async function mapsOf(
  of: Fixture,
  model: ModelProto,
  sites: readonly AttentionSite[],
): Promise<number[][]> {
  const outputs = new Set(model.graph?.output.map(({ name }) => name));
  const wanted = [...new Set(sites.map(({ map }) => map))];
  for (const [i, name] of wanted.entries()) {
    const type = sites[i]?.elementType ?? 1;
    if (!outputs.has(name)) model.graph?.output.push(valueInfo(name, type));
  }
  const run = await runFixture(of, model, wanted);
  return sites.map(({ map, mapPermutation }) => {
    const tensor = run[map];
    if (!tensor) throw new Error(`the run returns no ${map}`);
    return permuted(tensor, mapPermutation);
  });
}

/**
 * Compares maps with the truth of a fixture; nothing where the recorded ones do not hold on this processor.
 * @param toleranceOf largest difference at a site
 */
export function expectMaps(
  found: readonly number[][],
  { maps }: Pick<Truth, "maps">,
  toleranceOf: (site: number) => number,
): void {
  if (maps === null) return;
  for (const [site, map] of found.entries()) {
    const truth = numbersOf(
      maps.get(`site${site}`) ?? { datatype: "FP32", shape: [0], data: new Float32Array() },
    );
    expect(map).toHaveLength(truth.length);
    const most = Math.max(...map.map((value, j) => Math.abs(value - (truth[j] ?? NaN))));
    expect(most).toBeLessThan(toleranceOf(site));
  }
}

/** Row-major values after a transposition. */
function permuted(tensor: Tensor, permutation: readonly number[] | null): number[] {
  const values = numbersOf(tensor);
  if (!permutation) return values;
  const { shape } = tensor;
  const strides = shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
  let offsets = [0];
  for (const from of permutation) {
    offsets = offsets.flatMap((at) =>
      Array.from({ length: shape[from] ?? 0 }, (_, i) => at + i * (strides[from] ?? 0)),
    );
  }
  return offsets.map((at) => values[at] ?? NaN);
}
