import { describe, expect, it } from "vitest";
import { float32, type Tensor } from "../shared/tensor.ts";
import { toyRepairModel } from "../test/engine-models.ts";
import type { RunRequest } from "./engine.ts";
import { checkRequest } from "./request-check.ts";

const limits = { description: toyRepairModel().description, outputs: new Set(["y"]), maxBatch: 4 };
const x = float32([1, 1], [0]);
const bool: Tensor = { datatype: "BOOL", shape: [1, 1], data: new Uint8Array(1) };
const good: RunRequest = {
  inputs: { x },
  batch: 1,
  modes: new Int32Array(1),
  detector: null,
  force: { 0: bool },
  outputs: ["y"],
};

describe("checkRequest", () => {
  it("lets a request pass that fits", () => {
    expect(() => checkRequest(good, limits)).not.toThrow();
  });

  it.each<[string, Partial<RunRequest>, string]>([
    ["lacks an input", { inputs: {} }, 'input "x" is missing'],
    ["has one too many", { inputs: { x, z: x } }, 'the model has no input "z"'],
    ["has another datatype", { inputs: { x: bool } }, 'input "x" must be FP32, got BOOL'],
    ["asks for an unknown output", { outputs: ["z"] }, 'the model has no output "z"'],
    ["has no sample", { batch: 0, modes: new Int32Array(0) }, "at least one sample, got 0"],
    ["has too many samples", { batch: 5, modes: new Int32Array(5) }, "at most 4 samples, got 5"],
    ["has another number of modes", { modes: new Int32Array(2) }, "one mode per sample (1), got 2"],
    ["forces an unknown axis", { force: { 1: bool } }, "no key axis 1"],
    ["forces with numbers", { force: { 0: x } }, "must be BOOL [1, keys], got FP32 [1, 1]"],
  ])("refuses one that %s", (_, change, message) => {
    expect(() => checkRequest({ ...good, ...change }, limits)).toThrow(
      expect.objectContaining({
        code: "ATPATCH_UNPROCESSABLE",
        message: expect.stringContaining(message) as string,
      }),
    );
  });
});
