/** Holds an expansion against the runtime's own kernel, and the tensors that several of them share. */
import { expect } from "vitest";
import { prepareModel } from "../attention/prepare-model.ts";
import { validateModel } from "../onnx/validate.ts";
import type { Tensor } from "../shared/tensor.ts";
import { int32, modelOf, run, type Variant } from "./fused-model.ts";
import { difference } from "./zoo.ts";

/** Both compute the same, and the operator is gone. */
export async function checkExpansion(variant: Variant): Promise<void> {
  const expected = await run(modelOf(variant), variant.inputs);
  const model = modelOf(variant);
  const { nearMisses } = prepareModel(model);
  expect(nearMisses.filter(({ reason }) => reason.includes("cannot be patched"))).toEqual([]);
  validateModel(model);
  expect(model.graph?.node.some(({ opType }) => opType === variant.operator)).toBe(false);
  const got = await run(model, variant.inputs);
  for (const [name, tensor] of Object.entries(expected)) {
    expect(got[name]?.shape).toEqual(tensor.shape);
    expect(difference(got[name], tensor)).toBeLessThan(2e-6);
  }
}

/** Batch, queries, heads and their width; width of all heads. */
export const [B, S, N, H] = [2, 5, 4, 8];
export const D = N * H;
/** int32 [B, keys] with every fourth key hidden. */
export const keyMask = (keys: number): Tensor =>
  int32(
    [B, keys],
    Array.from({ length: B * keys }, (_, i) => (i % 4 === 2 ? 0 : 1)),
  );
