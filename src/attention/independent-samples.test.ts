import { describe, expect, it } from "vitest";
import type { ModelProto } from "../onnx/model.ts";
import { GraphBuilder } from "../test/graph-builder.ts";
import { independentSamples } from "./independent-samples.ts";
import { prepareModel } from "./prepare-model.ts";

type Dims = readonly (number | string)[];

const judge = (given: ModelProto): boolean => independentSamples(given, prepareModel(given).sites);

/** softmax(x xᵀ) x over the last two axes of x. */
function attend(g: GraphBuilder, x: string, transposed: readonly number[]): string {
  const scores = g.op("MatMul", [x, g.op("Transpose", [x], { perm: [...transposed] })]);
  return g.op("MatMul", [g.op("Softmax", [scores], { axis: -1 }), x]);
}

/** Attention over x [B, T, 8] and what `finish` makes of it. */
function model(
  finish: (g: GraphBuilder, y: string) => string,
  input: Dims = ["B", "T", 8],
  start: (g: GraphBuilder, x: string) => string = (_, x) => x,
): ModelProto {
  const g = new GraphBuilder();
  const rank = input.length;
  const perm = [...Array(rank - 2).keys(), rank - 1, rank - 2];
  return g.model(finish(g, attend(g, start(g, "x"), perm)), { x: input }, 17);
}

const pooled = (g: GraphBuilder, y: string): string => g.op("ReduceMean", [y], { axes: [1], keepdims: 0 });

describe("independentSamples", () => {
  it("lets requests share a run where samples stay apart", () => {
    expect(judge(model(pooled))).toBe(true);
    expect(judge(model((_, y) => y))).toBe(true);
  });

  it("keeps requests apart where the file fixes the batch", () => {
    expect(judge(model(pooled, [3, "T", 8]))).toBe(false);
  });

  it("keeps requests apart where the first dimension is a sequence", () => {
    expect(judge(model((_, y) => y, ["T", 8]))).toBe(false);
  });

  it("keeps requests apart where an output compares samples with each other", () => {
    const similarity = (g: GraphBuilder, y: string): string => {
      const rows = pooled(g, y);
      return g.op("MatMul", [rows, g.op("Transpose", [rows], { perm: [1, 0] })]);
    };
    expect(judge(model(similarity))).toBe(false);
  });

  it("keeps requests apart where one quantisation scale is taken from the whole batch", () => {
    const start = (g: GraphBuilder, x: string): string => {
      const [bytes, scale, zero] = [g.fresh("q"), g.fresh("q"), g.fresh("q")];
      const quantise = g.op("DynamicQuantizeLinear", [x]);
      const node = g.nodes.find(({ output }) => output[0] === quantise)!;
      node.output = [bytes, scale, zero];
      return g.op("DequantizeLinear", [bytes, scale, zero]);
    };
    expect(judge(model(pooled, ["B", "T", 8], start))).toBe(false);
  });

  it("keeps requests apart where the samples cannot be followed to the output", () => {
    const mixed = (g: GraphBuilder, y: string): string => g.op("Reshape", [pooled(g, y), g.ints(-1)]);
    expect(judge(model(mixed))).toBe(false);
  });
});
