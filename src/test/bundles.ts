/** Detectors and models for tests: small, valid, and different from each other by seed. */
import { encodeBundle, type BundleMetadata } from "../detector/bundle.ts";
import type { DetectorTensors } from "../shared/detector-tensors.ts";
import { sha256 } from "../shared/digest.ts";
import { AtPatchError } from "../shared/errors.ts";
import type { PatchDescription } from "../shared/patched-model.ts";
import { writeSafetensors } from "../shared/safetensors.ts";
import { elementCount, float32, tensor, type Tensor } from "../shared/tensor.ts";

/** A described model with self-attention sites on one key axis. */
export function exampleDescription(name = "model", sites = 3, heads = 2): PatchDescription {
  return {
    inputs: [{ name: "x", datatype: "FP32", shape: [null, 4] }],
    outputs: [{ name: "logits", datatype: "FP32", shape: [null, 2] }],
    sites: Array.from({ length: sites }, (_, index) => ({
      index,
      layer: index,
      kind: "self",
      form: "softmax",
      rank: 4,
      dims: "B,H,Tq,Tk",
      heads,
      where: "main",
      axis: 0,
      node: `/layer${index}/Softmax`,
      mask: "none",
    })),
    independent: true,
    axes: 1,
    fingerprint: `sha256-${sha256(name)}`,
  };
}

/** S = 3, D = 2 (sites 0 and 2), F = 15, C1 = 4, C2 = 3, K = 3, H = 2, Tq = Tk = 5, d = 2. */
export function exampleTensors(seed = 0): DetectorTensors {
  let state = seed + 1;
  const random = (...shape: number[]) =>
    float32(
      shape,
      Float32Array.from({ length: elementCount(shape) }, () => {
        state = (state * 48271) % 2147483647;
        return state / 2147483647;
      }),
    );
  return {
    slot: tensor("INT64", [3], BigInt64Array.of(0n, -1n, 1n)),
    feature_mean: random(2, 15),
    feature_scale: random(2, 15),
    conv1_weight: random(2, 4, 15, 3),
    conv1_bias: random(2, 4),
    conv2_weight: random(2, 3, 4, 1),
    conv2_bias: random(2, 3),
    conv3_weight: random(2, 1, 3, 1),
    conv3_bias: random(2, 1),
    thresholds: float32([2, 2], [2.1, -0.3, 4, 4]),
    reference_attention: random(3, 2, 5, 5),
    reference_value: random(3, 2, 5, 2),
    settings: float32([5], [0.5, 0.5, 1, 0, 1]),
  };
}

export function exampleMetadata(description: PatchDescription = exampleDescription()): BundleMetadata {
  return {
    format: 1,
    model: description.fingerprint,
    sites: description.sites.length,
    detectionSites: [0, 2],
    features: "attention+value",
    kernel: 3,
    reference: "benign",
    keys: 5,
    thresholds: [
      { site: 0, gate: 2.1, column: -0.3 },
      { site: 2, gate: 4, column: 4 },
    ],
    provenance: { createdAt: "2026-01-01T00:00:00.000Z", seed: 0 },
    report: { clean: { n: 500 } },
  };
}

/** A bundle that fits {@link exampleDescription}; another seed, another id. */
export function exampleBundle(seed = 0, description?: PatchDescription): Uint8Array {
  return encodeBundle(exampleMetadata(description), exampleTensors(seed));
}

/** Writes a bundle without any check. */
export function uncheckedBundle(
  metadata: unknown,
  tensors: Partial<DetectorTensors> & Record<string, Tensor | undefined>,
): Uint8Array {
  const present = Object.entries({ ...exampleTensors(), ...tensors }).filter(
    (entry): entry is [string, Tensor] => entry[1] !== undefined,
  );
  return writeSafetensors(new Map(present), { atpatch: JSON.stringify(metadata) });
}

/** Code and message of the error that `run` throws. */
export function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof AtPatchError) return `${error.code} ${error.message}`;
    throw error;
  }
  throw new Error("nothing was refused");
}
