import { create } from "@bufbuild/protobuf";
import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { encodeModel } from "./codec.ts";
import { Emitter, minimumOpset } from "./emitter.ts";
import { FreshNames } from "./fresh-names.ts";
import { GraphProtoSchema, ModelProtoSchema, OperatorSetIdProtoSchema } from "./generated/onnx_pb.ts";
import { DataType, valueInfo } from "./model.ts";

const opsets = [minimumOpset, 8, 9, 10, 11, 12, 13, 15, 18];

/** What `write` computes from a float input `x` and an int64 vector `n`, at one opset. */
async function run(
  opset: number,
  write: (e: Emitter) => string,
  x: { data: readonly number[]; dims: readonly number[] },
  n: readonly number[] = [0],
): Promise<{ data: number[]; dims: readonly number[] }> {
  const e = new Emitter(opset, new FreshNames(), "t");
  e.op("Cast", [write(e)], { to: DataType.FLOAT }, "y");
  const model = create(ModelProtoSchema, {
    irVersion: 8n,
    opsetImport: [create(OperatorSetIdProtoSchema, { domain: "", version: BigInt(opset) })],
    graph: create(GraphProtoSchema, {
      name: "g",
      node: e.nodes,
      input: [valueInfo("x", DataType.FLOAT), valueInfo("n", DataType.INT64)],
      output: [valueInfo("y", DataType.FLOAT)],
    }),
  });
  const session = await ort.InferenceSession.create(encodeModel(model), { intraOpNumThreads: 1 });
  const { y } = await session.run({
    x: new ort.Tensor("float32", Float32Array.from(x.data), x.dims),
    n: new ort.Tensor("int64", BigInt64Array.from(n, BigInt), [n.length]),
  });
  if (!y) throw new Error("no output");
  return { data: [...(y.data as Float32Array)], dims: y.dims };
}

const table = { data: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], dims: [3, 4] };

describe.each(opsets)("the emitter at opset %i", (opset) => {
  it("compares so that what is no number is never at least anything", async () => {
    const x = { data: [1, 2, 3, NaN, Infinity, -Infinity, -0], dims: [7] };
    expect((await run(opset, (e) => e.atLeast("x", e.float(2)), x)).data).toEqual([0, 1, 1, 0, 1, 0, 0]);
    expect((await run(opset, (e) => e.atLeast(e.float(0), "x"), x)).data).toEqual([0, 0, 0, 0, 0, 1, 1]);
    expect((await run(opset, (e) => e.atLeast("x", "x"), x)).data).toEqual([1, 1, 1, 0, 1, 1, 1]);
  });

  it("cuts axes to the first entries and clamps longer ends", async () => {
    expect(await run(opset, (e) => e.take("x", "n", [0, 1]), table, [2, 9])).toEqual({
      data: [0, 1, 2, 3, 4, 5, 6, 7],
      dims: [2, 4],
    });
    expect(await run(opset, (e) => e.take("x", [9, 1], [0, 1]), table)).toEqual({
      data: [0, 4, 8],
      dims: [3, 1],
    });
    expect(await run(opset, (e) => e.take("x", "n", [1]), table, [0])).toEqual({ data: [], dims: [3, 0] });
  });

  it("takes part of an axis between bounds known at run time", async () => {
    const part = (e: Emitter): string => e.slice("x", "n", e.op("Add", ["n", e.int([2])]), 1);
    expect(await run(opset, part, table, [1])).toEqual({ data: [1, 2, 5, 6, 9, 10], dims: [3, 2] });
  });

  it("tells lengths and counts positions", async () => {
    expect(await run(opset, (e) => e.dims("x", 0, 2), table)).toEqual({ data: [3, 4], dims: [2] });
    expect(await run(opset, (e) => e.dim("x", 1), table)).toEqual({ data: [4], dims: [1] });
    expect(await run(opset, (e) => e.positions("n"), table, [5])).toEqual({
      data: [0, 1, 2, 3, 4],
      dims: [5],
    });
    expect(await run(opset, (e) => e.positions("n"), table, [0])).toEqual({ data: [], dims: [0] });
  });

  it("sums what stands before and after", async () => {
    const x = { data: [1, 0, 2, 5, 3, 4], dims: [2, 1, 3] };
    expect(await run(opset, (e) => e.runningSum("x", false), x)).toEqual({
      data: [0, 1, 1, 0, 5, 8],
      dims: [2, 1, 3],
    });
    expect((await run(opset, (e) => e.runningSum("x", true), x)).data).toEqual([2, 2, 0, 7, 4, 0]);
  });

  it("ranks rows, equal entries in order of position", async () => {
    const x = { data: [3, 9, 3, -1e30, 9, -1e30, -1e30, 0, -1e30, -1e30], dims: [2, 5] };
    expect(await run(opset, (e) => e.ranks("x"), x)).toEqual({
      data: [2, 0, 3, 4, 1, 1, 2, 0, 3, 4],
      dims: [2, 5],
    });
  });

  it("limits elements", async () => {
    expect((await run(opset, (e) => e.clip("x", -1.5, 4), table)).data.slice(3, 7)).toEqual([3, 4, 4, 4]);
    const low = { data: [-7], dims: [1] };
    expect((await run(opset, (e) => e.clip("x", -1.5, 4), low)).data).toEqual([-1.5]);
  });
});
