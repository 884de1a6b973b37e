import { create } from "@bufbuild/protobuf";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { encodeModel } from "./codec.ts";
import {
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  FunctionProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  OperatorSetIdProtoSchema,
} from "./generated/onnx_pb.ts";
import { inlineFunctions } from "./inline-functions.ts";
import { DataType, float, floatTensor, node, valueInfo, type ModelProto, type NodeProto } from "./model.ts";
import { validateModel } from "./validate.ts";

const opset = (domain: string, version: number) =>
  create(OperatorSetIdProtoSchema, { domain, version: BigInt(version) });
const local = { domain: "local" };

/** A node with an attribute that refers to one of the call. */
function referring(inner: NodeProto, attribute: string, to: string): NodeProto {
  inner.attribute.push(
    create(AttributeProtoSchema, { name: attribute, type: AttributeType.FLOAT, refAttrName: to }),
  );
  return inner;
}

/**
 * leak(a; slope) is LeakyRelu; twice(a, b?) calls leak, adds b when the If says so and hands its input on as well. Inner
 * names clash with those outside on purpose.
 */
function model(): ModelProto {
  const branch = (name: string, body: NodeProto): ReturnType<typeof create<typeof GraphProtoSchema>> =>
    create(GraphProtoSchema, { name, node: [body], output: [valueInfo("picked", DataType.FLOAT)] });
  return create(ModelProtoSchema, {
    irVersion: 9n,
    opsetImport: [opset("", 17), opset("local", 1)],
    functions: [
      create(FunctionProtoSchema, {
        name: "leak",
        domain: "local",
        input: ["x"],
        output: ["y"],
        attribute: ["slope"],
        opsetImport: [opset("", 17)],
        node: [referring(node("LeakyRelu", ["x"], ["y"]), "alpha", "slope")],
      }),
      create(FunctionProtoSchema, {
        name: "twice",
        domain: "local",
        input: ["a", "flag"],
        output: ["out", "same"],
        attributeProto: [create(AttributeProtoSchema, { name: "slope", type: AttributeType.FLOAT, f: 0.5 })],
        opsetImport: [opset("", 17), opset("local", 1)],
        node: [
          node("Identity", ["a"], ["same"]),
          referring(node("leak", ["a"], ["h"], {}, local), "slope", "slope"),
          node("If", ["flag"], ["out"], {
            then_branch: branch("t", node("Add", ["h", "h"], ["picked"])),
            else_branch: branch("e", referring(node("leak", ["h"], ["picked"], {}, local), "slope", "slope")),
          }),
        ],
      }),
    ],
    graph: create(GraphProtoSchema, {
      name: "g",
      input: [valueInfo("x", DataType.FLOAT, [4]), valueInfo("flag", DataType.BOOL, [])],
      output: ["h", "y", "z"].map((name) => valueInfo(name, DataType.FLOAT)),
      initializer: [floatTensor("same", [4], [1, 2, 3, 4])],
      node: [
        node("Add", ["x", "same"], ["h"]),
        node("twice", ["h", "flag"], ["y", ""], { slope: float(0.25) }, { ...local, name: "call" }),
        node("twice", ["y", "flag"], ["z", "unused"], {}, { ...local, name: "call2" }),
      ],
    }),
  });
}

async function run(of: ModelProto, flag: boolean): Promise<number[][]> {
  const session = await InferenceSession.create(encodeModel(of), { logSeverityLevel: 4 });
  const results = await session.run({
    x: new Tensor("float32", Float32Array.of(-3, -2, -4, 5), [4]),
    flag: new Tensor("bool", Uint8Array.of(flag ? 1 : 0), []),
  });
  await session.release();
  return ["h", "y", "z"].map((name) => [...((results[name]?.data ?? []) as Float32Array)]);
}

describe("inlineFunctions", () => {
  it("computes what the runtime computes with the functions", async () => {
    const inlined = model();
    const nodes = inlineFunctions(inlined);
    expect(inlined.functions).toEqual([]);
    expect(nodes.size).toBeGreaterThan(5);
    validateModel(inlined);
    const names = inlined.graph?.node.map(({ name }) => name).filter((name) => name !== "") ?? [];
    expect(new Set(names).size).toBe(names.length);
    for (const flag of [true, false]) expect(await run(inlined, flag)).toEqual(await run(model(), flag));
  });

  it("leaves functions of the domains it is told to", () => {
    const kept = model();
    expect(inlineFunctions(kept, new Set(["local"])).size).toBe(0);
    expect(kept.functions).toHaveLength(2);
  });
});
