import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { detectorTensorNames, type DetectorTensors } from "../shared/detector-tensors.ts";
import { AtPatchError } from "../shared/errors.ts";
import { float32, tensor, type Tensor } from "../shared/tensor.ts";
import {
  exampleBundle,
  exampleDescription,
  exampleMetadata,
  exampleTensors,
  refusal,
  uncheckedBundle,
} from "../test/bundles.ts";
import { checkDetectorTensors } from "./bundle-tensors.ts";
import {
  bundleId,
  checkFits,
  encodeBundle,
  maxBundleBytes,
  parseBundle,
  type BundleMetadata,
} from "./bundle.ts";
import { neutralTensors } from "./neutral.ts";

const withValue = (original: Tensor, at: number, value: number): Tensor =>
  float32(original.shape, Float32Array.from(original.data as Float32Array).fill(value, at, at + 1));

describe("bundle", () => {
  it("reads back what was written, under the digest of the bytes", () => {
    const bytes = exampleBundle();
    const bundle = parseBundle(bytes);
    expect(bundle.id).toMatch(/^sha256-[0-9a-f]{64}$/);
    expect(bundle.id).toBe(bundleId(bytes));
    expect(bundle.metadata).toEqual(exampleMetadata());
    expect(bundle.tensors).toEqual(exampleTensors());
    expect(Buffer.compare(bytes, exampleBundle())).toBe(0);
    expect(bundleId(exampleBundle(1))).not.toBe(bundle.id);
  });

  it("takes references that fit any length, and kernels of 1", () => {
    const tensors = exampleTensors();
    const small: DetectorTensors = {
      ...tensors,
      conv1_weight: float32([2, 4, 15, 1], new Float32Array(120)),
      reference_attention: float32([3, 2, 1, 1], [9, 8, 7, 6, 5, 4]),
      reference_value: float32([3, 2, 1, 2], new Float32Array(12)),
      settings: float32([5], [0.5, 0.5, 1, 1, 1]),
    };
    const bytes = encodeBundle({ ...exampleMetadata(), kernel: 1, keys: null }, small);
    expect(parseBundle(bytes).tensors).toEqual(small);
    const mixed = { ...tensors, reference_value: small.reference_value };
    expect(parseBundle(encodeBundle(exampleMetadata(), mixed)).tensors).toEqual(mixed);
  });

  it("refuses a bundle cut off at any byte, or with a byte too many", () => {
    const bytes = exampleBundle();
    for (let length = 0; length < bytes.length; length += 1) {
      expect(refusal(() => parseBundle(bytes.subarray(0, length)))).toMatch(
        /^ATPATCH_BAD_BUNDLE safetensors: /,
      );
    }
    expect(refusal(() => parseBundle(Uint8Array.of(...bytes, 0)))).toContain("bytes of data");
  }, 30_000);

  it("refuses a bundle over the size limit before reading it", () => {
    expect(refusal(() => parseBundle(new Uint8Array(maxBundleBytes + 1)))).toContain(
      "may have 67108864 bytes",
    );
  });

  it("never fails otherwise than by refusal, whatever bytes change", () => {
    const bytes = exampleBundle();
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (changes) => {
          const changed = bytes.slice();
          for (const [at, value] of changes) changed[at] = value;
          try {
            expect(parseBundle(changed).id).toBe(bundleId(changed));
          } catch (error) {
            if (!(error instanceof AtPatchError && error.code === "ATPATCH_BAD_BUNDLE")) throw error;
          }
        },
      ),
      { numRuns: 1000 },
    );
  }, 30_000);

  const good = exampleTensors();
  it.each<[string, Record<string, Tensor | undefined>, string]>([
    ...detectorTensorNames.map((name): [string, Record<string, Tensor | undefined>, string] => [
      `no ${name}`,
      { [name]: undefined },
      `tensor ${name}: the tensor is missing`,
    ]),
    ...detectorTensorNames.map((name): [string, Record<string, Tensor | undefined>, string] => [
      `${name} of another datatype`,
      { [name]: { ...good[name], datatype: "INT32", data: new Int32Array(good[name].data.length) } },
      `tensor ${name}: expected ${name === "slot" ? "INT64" : "FP32"}, got INT32`,
    ]),
    ...detectorTensorNames.map((name): [string, Record<string, Tensor | undefined>, string] => [
      `${name} of another rank`,
      { [name]: { ...good[name], shape: [...good[name].shape, 1] } },
      `tensor ${name}: expected shape [`,
    ]),
    ...detectorTensorNames
      .filter((name) => name !== "slot")
      .flatMap((name) =>
        [NaN, Infinity, -Infinity].map((value): [string, Record<string, Tensor | undefined>, string] => [
          `${value} in ${name}`,
          { [name]: withValue(good[name], 1, value) },
          `tensor ${name}: expected finite numbers, got ${value} at element 1`,
        ]),
      ),
    [
      "an unknown tensor",
      { conv4_weight: float32([1], [0]) },
      "tensor conv4_weight: a detector has no such tensor",
    ],
    ["a tensor of the prototype", { toString: float32([1], [0]) }, "tensor toString: a detector has no such"],
    ["a slot below -1", { slot: tensor("INT64", [3], BigInt64Array.of(0n, -2n, 1n)) }, "rows from -1 to 1"],
    [
      "a slot beyond the rows",
      { slot: tensor("INT64", [3], BigInt64Array.of(0n, -1n, 2n)) },
      "got [0, -1, 2]",
    ],
    [
      "features that disagree",
      { feature_scale: float32([2, 14], new Float32Array(28)) },
      "expected shape [D = 2, F = 15], got [2, 14]",
    ],
    [
      "channels that disagree",
      { conv2_weight: float32([2, 3, 5, 1], new Float32Array(30)) },
      "C1 = 4, 1], got [2, 3, 5, 1]",
    ],
    ["rows that disagree", { thresholds: float32([1, 2], [1, 0]) }, "expected shape [D = 2, 2], got [1, 2]"],
    [
      "sites that disagree",
      { reference_value: float32([2, 2, 5, 2], new Float32Array(40)) },
      "tensor reference_value: expected shape [S = 3",
    ],
    [
      "key positions that disagree",
      { reference_value: float32([3, 2, 4, 2], new Float32Array(48)) },
      "1 or Tk = 5",
    ],
    [
      "an even kernel",
      { conv1_weight: float32([2, 4, 15, 2], new Float32Array(240)) },
      "kernel of 1 or 3, got 2",
    ],
    ["a wide kernel", { conv1_weight: float32([2, 4, 15, 5], new Float32Array(600)) }, "K may be 3, got 5"],
    [
      "fewer features than attention alone has",
      {
        feature_mean: float32([2, 10], new Float32Array(20)),
        feature_scale: float32([2, 10], new Float32Array(20)),
        conv1_weight: float32([2, 4, 10, 3], new Float32Array(240)),
      },
      "expected at least 11 features, got 10",
    ],
    [
      "a column threshold above the gate",
      { thresholds: float32([2, 2], [2.1, -0.3, 4, 4.5]) },
      "row 1: the column threshold 4.5 is above the gate 4",
    ],
    [
      "negative attention",
      { reference_attention: withValue(good.reference_attention, 3, -0.1) },
      "attention from 0 to 1",
    ],
    [
      "attention above 1",
      { reference_attention: withValue(good.reference_attention, 3, 1.1) },
      "attention from 0 to 1",
    ],
    ["a negative scale", { feature_scale: withValue(good.feature_scale, 0, -1) }, "no negative scale"],
    ...(
      [
        [0, 0, "maxBenignMass: expected a share above 0 and below 1, got 0"],
        [0, 1, "maxBenignMass"],
        [1, 0, "maxFlaggedShare"],
        [1, 1.5, "maxFlaggedShare"],
        [2, -1, "firstKey"],
        [2, 0.5, "firstKey"],
        [3, 0.5, "ratio: expected 0 or 1"],
        [4, 2, "replaceValue: expected 0 or 1"],
      ] as const
    ).map(([at, value, message]): [string, Record<string, Tensor>, string] => [
      `setting ${at} = ${value}`,
      { settings: withValue(good.settings, at, value) },
      message,
    ]),
    [
      "another kernel than the metadata says",
      { conv1_weight: float32([2, 4, 15, 1], new Float32Array(120)) },
      "kernel of 3 as the metadata says, got 1",
    ],
    [
      "other detection sites than the metadata says",
      { slot: tensor("INT64", [3], BigInt64Array.of(0n, 1n, -1n)) },
      "detects at the sites [0, 1], the metadata says [0, 2]",
    ],
    [
      "other thresholds than the metadata says",
      { thresholds: float32([2, 2], [2.1, -0.3, 5, 4]) },
      "site 2 has other values",
    ],
    [
      "values kept against the metadata",
      { settings: withValue(good.settings, 4, 0) },
      'contradicts the reference "benign"',
    ],
  ])("refuses %s", (_fault, tensors, message) => {
    const text = refusal(() => parseBundle(uncheckedBundle(exampleMetadata(), tensors)));
    expect(text).toMatch(/^ATPATCH_BAD_BUNDLE /);
    expect(text).toContain(message);
  });

  it("refuses features of attention in use against the metadata", () => {
    const metadata: BundleMetadata = { ...exampleMetadata(), features: "value" };
    const scale = (first: number): Tensor => {
      const of = Float32Array.from({ length: 30 }, (_, at) => (at % 15 < 11 ? 0 : 1));
      of[15 + 10] = first;
      return float32([2, 15], of);
    };
    expect(parseBundle(uncheckedBundle(metadata, { feature_scale: scale(0) })).metadata).toEqual(metadata);
    expect(refusal(() => parseBundle(uncheckedBundle(metadata, { feature_scale: scale(1) })))).toMatch(
      /^ATPATCH_BAD_BUNDLE tensor feature_scale: .* the metadata says "value"/,
    );
  });

  it("tells for which model a bundle was made", () => {
    const bundle = parseBundle(exampleBundle());
    checkFits(bundle, exampleDescription());
    const other = exampleDescription("another model");
    const text = refusal(() => checkFits(bundle, other));
    expect(text).toMatch(/^ATPATCH_BUNDLE_MISMATCH /);
    expect(text).toContain(other.fingerprint);
    expect(text).toContain(bundle.metadata.model);
    expect(refusal(() => checkFits(bundle, exampleDescription("model", 4)))).toContain(
      "3 attention sites, the model has 4",
    );
    expect(refusal(() => checkFits(bundle, exampleDescription("model", 3, 6)))).toContain(
      "2 heads, the model has 6",
    );
  });
});

describe("neutral tensors", () => {
  it("are a valid detector without detection and with zero attention", () => {
    const neutral = neutralTensors(12);
    expect(checkDetectorTensors(new Map(Object.entries(neutral)))).toEqual(neutral);
    expect(Array.from(neutral.slot.data, Number)).toEqual(Array<number>(12).fill(-1));
    expect((neutral.reference_attention.data as Float32Array).every((mass) => mass === 0)).toBe(true);
  });
});
