import { describe, expect, it } from "vitest";
import { difference, fixture, modelBytes, runFixture, skeletonOf, tensorsOf } from "../test/zoo.ts";
import { decodeModel, encodeModel } from "./codec.ts";
import { externalTensors } from "./external-files.ts";
import type { ModelProto } from "./model.ts";
import { decodeSkeleton, inlineLimit } from "./skeleton.ts";

describe("skeletons", () => {
  it("leave every large weight in the file and change nothing else", () => {
    const of = fixture("mha_ts17_weights");
    const bytes = modelBytes(of);
    const skeleton = decodeSkeleton(bytes, "model.onnx");
    const whole = decodeModel(bytes);
    expect(encodeModel(skeleton).length).toBeLessThan(bytes.length / 2);
    const references = new Map(externalTensors(skeleton).map((reference) => [reference.tensor, reference]));
    expect(references.size).toBeGreaterThan(0);
    for (const tensor of whole.graph?.initializer ?? []) {
      const reference = references.get(tensor.name);
      expect(reference !== undefined).toBe(tensor.rawData.length >= inlineLimit);
      if (!reference) continue;
      expect(reference.location).toBe("model.onnx");
      const data = bytes.subarray(reference.offset, reference.offset + (reference.length ?? 0));
      expect(Buffer.compare(data, tensor.rawData)).toBe(0);
    }
  });

  it.each([
    "mha_ts17_weights",
    "external_data_one_file",
    "unknown_fields_metadata",
    "fp32_softmax_cast_fp16_ts17",
  ])("of %s answer like the model", async (name) => {
    const of = fixture(name);
    const outputs = await runFixture(of, skeletonOf(of));
    for (const [output, expected] of tensorsOf(of, "expected")) {
      expect(difference(outputs[output], expected)).toBeLessThan(1e-5);
    }
  });

  it("keep unknown fields of model, graph and nodes through a round trip", () => {
    const numbers = (model: ModelProto): (number | undefined)[][] =>
      [model, model.graph, ...(model.graph?.node ?? [])].map(
        (message) => message?.$unknown?.map(({ no }) => no) ?? [],
      );
    const before = skeletonOf(fixture("unknown_fields_metadata"));
    const after = decodeModel(encodeModel(before));
    expect(numbers(before)[0]).toEqual([9001, 9002, 9003, 9004]);
    expect(numbers(before).filter((list) => list.length > 0)).toHaveLength(4);
    expect(numbers(after)).toEqual(numbers(before));
    const contents = (model: ModelProto): number[][] =>
      (model.graph?.$unknown ?? []).map(({ data }) => [...data]);
    expect(contents(after)).toEqual(contents(before));
    expect(after.metadataProps).toEqual(before.metadataProps);
  });
});
