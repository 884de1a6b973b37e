import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AtPatchError } from "../shared/errors.ts";
import { committedFixtures, fixture, fixturesIn, modelBytes, zooFolder, type Fixture } from "../test/zoo.ts";
import { encodeModel } from "./codec.ts";
import { externalTensors } from "./external-files.ts";
import { FunctionProtoSchema, OperatorSetIdProtoSchema } from "./generated/onnx_pb.ts";
import { node, type ModelProto } from "./model.ts";
import { decodeSkeleton } from "./skeleton.ts";
import { validateBytes, validateModel } from "./validate.ts";

function load(bytes: Uint8Array): ModelProto {
  validateBytes(bytes);
  const model = decodeSkeleton(bytes, "model.onnx");
  validateModel(model);
  return model;
}

function faultOf(bytes: Uint8Array): string {
  try {
    load(bytes);
    return "";
  } catch (error) {
    expect(error).toBeInstanceOf(AtPatchError);
    return (error as AtPatchError).message;
  }
}

/** A good model with one thing changed. */
function broken(change: (model: ModelProto) => void): string {
  const model = decodeSkeleton(modelBytes(fixture("keras_einsum")), "model.onnx");
  change(model);
  return faultOf(encodeModel(model));
}

const faults: Readonly<Record<string, RegExp>> = {
  bad_cyclic_graph: /cycle through node/,
  bad_deep_nesting: /nested too deep/,
  bad_empty_file: /empty/,
  bad_external_escape: /leaves the folder/,
  bad_huge_length_field: /cut off or broken/,
  bad_initializer_dims: /its dimensions need/,
  bad_negative_dims: /negative dimension -5/,
  bad_opset_too_new: /opset 99/,
  bad_random_bytes: /no readable ONNX model/,
  bad_recursive_functions: /calls itself/,
  bad_text_file: /Git LFS pointer/,
  bad_truncated: /cut off or broken/,
  bad_undefined_input: /reads the tensor "nowhere"/,
};

function check(of: Fixture): void {
  const started = performance.now();
  const fault = faultOf(modelBytes(of));
  expect(performance.now() - started).toBeLessThan(2000);
  expect(fault).toMatch(faults[of.name] ?? /^$/);
  expect(fault.split("\n")).toHaveLength(1);
}

describe("broken files", () => {
  const zoo = zooFolder();
  const bad = ({ name }: Fixture): boolean => name in faults;
  it.each(fixturesIn(committedFixtures).filter(bad))("says what is wrong with $name at once", check);
  it.skipIf(zoo === null).each(zoo === null ? [] : fixturesIn(zoo).filter(bad))(
    "says what is wrong with $name at once (whole collection)",
    check,
  );
  it.each(fixturesIn(committedFixtures).filter(({ name }) => !name.startsWith("bad_")))(
    "accepts $name",
    ({ folder, ...rest }) => {
      expect(faultOf(modelBytes({ folder, ...rest }))).toBe("");
    },
  );

  it("answers every cut and every changed byte with one sentence", () => {
    const bytes = modelBytes(fixture("keras_einsum"));
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, value) => {
        faultOf(bytes.subarray(0, at));
        const changed = Uint8Array.from(bytes);
        changed[at] = value;
        faultOf(changed);
      }),
      { numRuns: 200 },
    );
  });

  it("names what is wrong with versions, tensors, nodes and outputs", () => {
    expect(broken((model) => (model.irVersion = 14n))).toMatch(/IR version 14; 3 to 13/);
    expect(broken((model) => (model.opsetImport = []))).toMatch(/which opset/);
    expect(broken((model) => (model.graph = undefined))).toMatch(/no graph/);
    expect(
      broken((model) => model.graph?.node.push(node("Relu", ["x"], ["y"], {}, { name: "again" }))),
    ).toMatch(/two nodes make the tensor "y"/);
    expect(broken((model) => model.graph?.node.splice(-1))).toMatch(/output "y" is made by nothing/);
    expect(broken((model) => Object.assign(model.graph?.initializer[0] ?? {}, { dataType: 99 }))).toMatch(
      /unknown element type 99/,
    );
    const grow = (model: ModelProto): void => void model.graph?.initializer.at(-1)?.dims.push(3n);
    expect(broken(grow)).toMatch(/does not fit its dimensions/);
  });

  it("refuses functions that grow without bound, in linear time", () => {
    const bomb = broken((model) => {
      const call = (i: number): string => (i === 0 ? "Relu" : `f${i - 1}`);
      for (let i = 0; i < 60; i++) {
        const domain = i === 0 ? "" : "local";
        model.functions.push(
          create(FunctionProtoSchema, {
            name: `f${i}`,
            domain: "local",
            input: ["a"],
            output: ["b"],
            node: [node(call(i), ["a"], ["m"], {}, { domain }), node(call(i), ["m"], ["b"], {}, { domain })],
          }),
        );
      }
      model.opsetImport.push(create(OperatorSetIdProtoSchema, { domain: "local", version: 1n }));
      model.graph?.node.push(node("f59", ["x"], ["boom"], {}, { domain: "local" }));
    });
    expect(bomb).toMatch(/more than 500000 nodes/);
  });

  it("refuses locations outside the folder and lists the files it needs", () => {
    const at =
      (location: string) =>
      (model: ModelProto): void => {
        const entry = model.graph?.initializer
          .flatMap(({ externalData }) => externalData)
          .find(({ key }) => key === "location");
        if (entry) entry.value = location;
      };
    for (const location of ["/etc/passwd", "../x", "a/../../x", "C:\\x", "a\\b", ""]) {
      expect(broken(at(location))).toMatch(/leaves the folder|names no file/);
    }
    expect(broken(at("weights/part-1.bin"))).toBe("");
    const model = decodeSkeleton(modelBytes(fixture("external_data_one_file")), "model.onnx");
    const files = externalTensors(model);
    expect(new Set(files.map(({ location }) => location))).toEqual(new Set(["model.onnx.data"]));
    expect(files.every(({ length }) => (length ?? 0) > 0)).toBe(true);
  });
});
