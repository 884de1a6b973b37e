/**
 * Small models with the inputs and outputs of a patched graph, for tests of the engine. Their "attention" is a toy that
 * makes every hot-fix input visible in the outputs; the runtime and the sessions are real.
 */
import { create } from "@bufbuild/protobuf";
import { GraphProtoSchema, ModelProtoSchema } from "../onnx/generated/onnx_pb.ts";
import { encodeModel } from "../onnx/codec.ts";
import {
  DataType,
  floatTensor,
  int64Tensor,
  node,
  valueInfo,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from "../onnx/model.ts";
import { detectorTensorNames, type DetectorTensors } from "../shared/detector-tensors.ts";
import { hotfixNames, type PatchedModel, type SiteDescription } from "../shared/patched-model.ts";
import { float32, tensor, type TensorInfo } from "../shared/tensor.ts";

/**
 * What a toy detector does: a column of `x` is flagged at the first site above `first`, at the second above `second`;
 * `offset` is added to every output, so that an answer tells which detector it was made with.
 */
export interface ToyDetector {
  readonly first?: number;
  readonly second?: number;
  readonly offset?: number;
}

/** Detector tensors of the toy; without arguments the neutral ones. */
export function toyDetector({ first = 1e9, second = 1e9, offset = 0 }: ToyDetector = {}): DetectorTensors {
  const empty = float32([1, 1], [0]);
  return {
    slot: tensor("INT64", [2], BigInt64Array.of(0n, 0n)),
    feature_mean: empty,
    feature_scale: empty,
    conv1_weight: empty,
    conv1_bias: empty,
    conv2_weight: empty,
    conv2_bias: empty,
    conv3_weight: empty,
    conv3_bias: empty,
    thresholds: float32([1, 2], [first, second]),
    reference_attention: float32([1, 1, 1, 1], [0]),
    reference_value: float32([1, 1, 1, 1], [0]),
    settings: float32([5], [offset, 0, 0, 0, 0]),
  };
}

const hotfixInputs: ValueInfoProto[] = [
  valueInfo(hotfixNames.mode, DataType.INT32, ["B"]),
  valueInfo(hotfixNames.force(0), DataType.BOOL, ["B", "F"]),
  valueInfo(hotfixNames.asked, DataType.BOOL, ["asked"]),
  ...detectorTensorNames.map((name) =>
    valueInfo(hotfixNames.detector(name), name === "slot" ? DataType.INT64 : DataType.FLOAT),
  ),
];

/** Flags, scores and the two "repaired" columns of x [B, T]: r0 after the first site, r1 after the second. */
const hotfixNodes: NodeProto[] = [
  node("Slice", [hotfixNames.detector("thresholds"), "zero", "one", "one"], ["first"]),
  node("Slice", [hotfixNames.detector("thresholds"), "one", "two", "one"], ["second"]),
  node("Slice", [hotfixNames.detector("settings"), "zero", "one"], ["offset"]),
  node("Unsqueeze", [hotfixNames.mode, "one"], ["mode"]),
  node("Greater", ["mode", "mode_off"], ["active"]),
  node("Greater", ["mode", "mode_observe"], ["enforced"]),
  ...[0, 1].flatMap((site) => [
    node("Greater", ["x", site === 0 ? "first" : "second"], [`above${site}`]),
    node("And", [`above${site}`, "active"], [`found${site}`]),
    node("Or", [`found${site}`, site === 0 ? hotfixNames.force(0) : "flagged0"], [`flagged${site}`]),
    node("And", [`flagged${site}`, "enforced"], [`repair${site}`]),
    node("Where", [`repair${site}`, "nought", "x"], [`r${site}`]),
  ]),
  node("Where", ["flagged1", "site2", "site0"], ["late"]),
  node("Where", ["flagged0", "site1", "late"], [hotfixNames.flags(0)]),
  node("Or", ["found0", "found1"], ["found"]),
  node("Where", ["found", "x", "nought"], [hotfixNames.scores(0)]),
];

const int32Scalar = (name: string, value: number): TensorProto => ({
  ...floatTensor(name, [], []),
  dataType: DataType.INT32,
  rawData: new Uint8Array(Int32Array.of(value).buffer),
});

const hotfixConstants: TensorProto[] = [
  int64Tensor("zero", [1], [0]),
  int64Tensor("one", [1], [1]),
  int64Tensor("two", [1], [2]),
  floatTensor("nought", [], [0]),
  int32Scalar("mode_off", 0),
  int32Scalar("mode_observe", 1),
  int32Scalar("site0", 0),
  int32Scalar("site1", 1),
  int32Scalar("site2", 2),
];

const sites: SiteDescription[] = [0, 1].map((index) => ({
  index,
  layer: index,
  kind: "self",
  form: "softmax",
  rank: 4,
  dims: "B,H,Tq,Tk",
  heads: 1,
  where: "main",
  axis: 0,
  node: `softmax${index}`,
  mask: "none",
}));

interface ToyGraph {
  readonly nodes: readonly NodeProto[];
  readonly inputs?: readonly ValueInfoProto[];
  readonly outputs: readonly ValueInfoProto[];
  readonly constants?: readonly TensorProto[];
  /** The same inputs and outputs as the engine sees them; x FP32 [B, T] comes first by itself. */
  readonly describe: { readonly inputs?: readonly TensorInfo[]; readonly outputs: readonly TensorInfo[] };
}

function toyModel({ nodes, inputs = [], outputs, constants = [], describe }: ToyGraph): PatchedModel {
  const bytes = encodeModel(
    create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [{ domain: "", version: 17n }],
      graph: create(GraphProtoSchema, {
        name: "toy",
        node: [...hotfixNodes, ...nodes],
        input: [valueInfo("x", DataType.FLOAT, ["B", "T"]), ...inputs, ...hotfixInputs],
        output: [
          ...outputs,
          valueInfo(hotfixNames.flags(0), DataType.INT32, ["B", "T"]),
          valueInfo(hotfixNames.scores(0), DataType.FLOAT, ["B", "T"]),
        ],
        initializer: [...hotfixConstants, ...constants],
      }),
    }),
  );
  return {
    external: [],
    bytes,
    description: {
      inputs: [{ name: "x", datatype: "FP32", shape: [null, null] }, ...(describe.inputs ?? [])],
      outputs: describe.outputs,
      sites,
      independent: true,
      axes: 1,
      fingerprint: "sha256-toy",
    },
  };
}

/**
 * y [B, T] = 100·r0 + r1 + offset: a column flagged at the first site leaves `offset`, one flagged at the second site only
 * still shows 100·x.
 */
export function toyRepairModel(): PatchedModel {
  return toyModel({
    nodes: repairNodes("y"),
    constants: [floatTensor("hundred", [], [100])],
    outputs: [valueInfo("y", DataType.FLOAT, ["B", "T"])],
    describe: { outputs: [{ name: "y", datatype: "FP32", shape: [null, null] }] },
  });
}

/** As {@link toyRepairModel}, with a second output `total` [1, T]: the largest y of all samples, which no sample owns. */
export function toyTotalModel(): PatchedModel {
  return toyModel({
    nodes: [...repairNodes("y"), node("ReduceMax", ["y"], ["total"], { axes: [0], keepdims: 1 })],
    constants: [floatTensor("hundred", [], [100])],
    outputs: [valueInfo("y", DataType.FLOAT, ["B", "T"]), valueInfo("total", DataType.FLOAT, [1, "T"])],
    describe: {
      outputs: [
        { name: "y", datatype: "FP32", shape: [null, null] },
        { name: "total", datatype: "FP32", shape: [1, null] },
      ],
    },
  });
}

function repairNodes(output: string): NodeProto[] {
  return [
    node("Mul", ["r0", "hundred"], ["strong"]),
    node("Add", ["strong", "r1"], ["sum"]),
    node("Add", ["sum", "offset"], [output]),
  ];
}

/**
 * y [B, T] = r1 + offset, after ⌊max x⌋ rounds of a 256×256 matrix product whose result counts for nothing: a run takes as
 * long as its input asks for, about 0.4 ms a round.
 */
export function toySlowModel(): PatchedModel {
  const body = create(GraphProtoSchema, {
    name: "round",
    node: [node("MatMul", ["state", "weight"], ["next"]), node("Identity", ["condition"], ["go_on"])],
    input: [
      valueInfo("round", DataType.INT64, []),
      valueInfo("condition", DataType.BOOL, []),
      valueInfo("state", DataType.FLOAT, [256, 256]),
    ],
    output: [valueInfo("go_on", DataType.BOOL, []), valueInfo("next", DataType.FLOAT, [256, 256])],
  });
  return toyModel({
    nodes: [
      node("ReduceMax", ["x"], ["most"], { keepdims: 0 }),
      node("Cast", ["most"], ["rounds"], { to: DataType.INT64 }),
      node("Loop", ["rounds", "", "weight"], ["work"], { body }),
      node("ReduceMax", ["work"], ["peak"], { keepdims: 0 }),
      node("Mul", ["peak", "nought"], ["nothing"]),
      node("Add", ["r1", "offset"], ["fast"]),
      node("Add", ["fast", "nothing"], ["y"]),
    ],
    constants: [floatTensor("weight", [256, 256], new Float32Array(256 * 256))],
    outputs: [valueInfo("y", DataType.FLOAT, ["B", "T"])],
    describe: { outputs: [{ name: "y", datatype: "FP32", shape: [null, null] }] },
  });
}

/** One output per datatype the runtime takes, each the input of the same name: what goes in must come out. */
export function toyEchoModel(
  types: readonly { name: string; type: DataType; info: TensorInfo }[],
): PatchedModel {
  return toyModel({
    nodes: types.map(({ name }) => node("Identity", [name], [`${name}_out`])),
    inputs: types.map(({ name, type }) => valueInfo(name, type, ["B", "N"])),
    outputs: types.map(({ name, type }) => valueInfo(`${name}_out`, type, ["B", "N"])),
    describe: {
      inputs: types.map(({ info }) => info),
      outputs: types.map(({ info }) => ({ ...info, name: `${info.name}_out` })),
    },
  });
}

/** y = x · w with w [3, 3]: refuses any other T at run time. */
export function toyFixedWidthModel(): PatchedModel {
  return toyModel({
    nodes: [node("MatMul", ["x", "w"], ["y"], {}, { name: "/layer/MatMul" })],
    constants: [floatTensor("w", [3, 3], [1, 0, 0, 0, 1, 0, 0, 0, 1])],
    outputs: [valueInfo("y", DataType.FLOAT, ["B", "T"])],
    describe: { outputs: [{ name: "y", datatype: "FP32", shape: [null, null] }] },
  });
}
