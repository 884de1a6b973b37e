/** Puts the hot-fix at every site of a decoded model. */
import { create } from "@bufbuild/protobuf";
import type { AttentionSite } from "../attention/site.ts";
import { OperatorSetIdProtoSchema } from "../onnx/generated/onnx_pb.ts";
import { DataType, opsetOf, valueInfo, type GraphProto, type ModelProto } from "../onnx/model.ts";
import { AtPatchError } from "../shared/errors.ts";
import {
  attentionFeatureCount,
  detectorTensorNames,
  type DetectorTensorName,
} from "../shared/detector-tensors.ts";
import { graphShapes, pointwiseTensorNames } from "../shared/graph-tensors.ts";
import { askedKinds, hotfixNames, modeCodes, type AskedKind, type TapKind } from "../shared/patched-model.ts";
import { addDefaults, emitModePerSample, type DetectorDefaults } from "./defaults.ts";
import { emitReported } from "./axis-state.ts";
import { Emitter } from "../onnx/emitter.ts";
import { FreshNames } from "../onnx/fresh-names.ts";
import { allNodes } from "../onnx/walk.ts";
import { patchGraph, siteOutputs } from "./patch-graph.ts";
import { patchForm, type Asked } from "./insert-patch.ts";
import { attentionPatchFunction, hotfixDomain, patchOperator } from "./op.ts";
import type { PatchForm } from "./site-branches.ts";

/** What a run asks of the sites: int64 [S] slots, and bool [3·S] as `hotfixNames.asked` has it. */
interface Demand {
  readonly slot: string;
  readonly asked: string;
}

/** Model-local functions are part of the format since this IR version. */
const functionIrVersion = 8n;

/**
 * Whether the hot-fix can be written into a model with these sites.
 * @throws AtPatchError ATPATCH_MODEL_REFUSED for a site inside a loop
 */
export function checkPatchable(sites: readonly AttentionSite[]): void {
  const body = sites.find(({ where }) => where.endsWith("-body"));
  if (body) {
    throw new AtPatchError(
      "ATPATCH_MODEL_REFUSED",
      `the attention at node "${body.node}" runs inside a loop; only the main graph, If branches and functions can be patched`,
    );
  }
}

/**
 * Changes `model` in place: new inputs and outputs (`hotfixNames`), one operator per site, its functions.
 * @param taps what a `collect` build returns beside the flags
 * @param defaults makes every added input optional, for servers that know nothing of AtPatch
 * @throws AtPatchError as {@link checkPatchable}
 */
export function instrumentGraph(
  model: ModelProto,
  sites: readonly AttentionSite[],
  taps: readonly TapKind[],
  defaults?: DetectorDefaults,
): void {
  const graph = model.graph;
  const opset = opsetOf(model);
  if (!graph) throw new AtPatchError("ATPATCH_BAD_MODEL", "the model has no graph");
  checkPatchable(sites);
  const names = new FreshNames(model);
  const e = new Emitter(opset, names, "atpatch");
  const mode = defaults ? emitModePerSample(e, model) : hotfixNames.mode;
  const demand = defaults ? emitDemand(e, mode, sites.length) : demandByFeeds;
  const asked = splitAsked(e, demand.asked, sites.length);
  // The tensors of a detector that stands in the file have one shape.
  const pointwise = defaults === undefined;
  const quantised = [...allNodes(graph)].some(({ opType }) => opType === "DequantizeLinear");
  const states = patchGraph(
    e,
    graph,
    { sites, taps, mode, slot: demand.slot, asked, pointwise, quantised },
    new Map(),
  );
  const reports = new Emitter(opset, names, "atpatch/report");
  for (const state of states.values()) {
    const { axis } = state;
    emitReported(reports, state, mode, { flags: hotfixNames.flags(axis), scores: hotfixNames.scores(axis) });
  }
  graph.node.push(...reports.nodes);

  // Before the inputs with defaults come, which are to stay inputs.
  raiseIrVersion(model, graph);
  addInterface(graph, [...states.keys()], defaults ? [] : pointwiseTensorNames);
  if (defaults) addDefaults(graph, defaults);
  else addReports(graph, sites, taps);
  const forms = sites.map((site) => patchForm(site, pointwise));
  addFunctions(model, forms, opset, taps);
}

/** The part of each site of the bool [3·S] that is asked. */
function splitAsked(e: Emitter, asked: string, sites: number): Asked[] {
  const each = e.split(asked, 0, Array<number>(askedKinds.length * sites).fill(1));
  const of = (kind: AskedKind, site: number): string => each[askedKinds.indexOf(kind) * sites + site]!;
  return Array.from({ length: sites }, (_, site) => ({
    examine: of("examine", site),
    attention: of("attention", site),
    pointwise: of("pointwise", site),
  }));
}

const demandByFeeds: Demand = { slot: hotfixNames.detector("slot"), asked: hotfixNames.asked };

/**
 * The same from the detector alone: other servers read no features, and nobody tells them where to detect. Its tensors are
 * always stacked, whatever its form.
 */
function emitDemand(e: Emitter, mode: string, sites: number): Demand {
  const observed = e.greater(e.reduce("ReduceMax", mode, null), e.int32(modeCodes.off));
  const slot = e.where(observed, hotfixNames.detector("slot"), e.int([-1]), [], 1);
  const examine = e.greater(slot, e.int(-1));
  const scale = e.take(hotfixNames.detector("feature_scale"), [attentionFeatureCount], [1]);
  const used = e.greater(e.reduce("ReduceMax", scale, [1, 2], false), e.float(0)); // [D]
  const row = e.op("Mul", [slot, e.cast(examine, DataType.INT64)]);
  const pointwise = e.cast(e.int(Array<number>(sites).fill(0)), DataType.BOOL);
  return { slot, asked: e.concat([examine, e.gather(used, row), pointwise], 0) };
}

/** From IR 4 on, an initializer that is also an input is a default value and no longer folded. */
function raiseIrVersion(model: ModelProto, graph: GraphProto): void {
  if (model.irVersion >= functionIrVersion) return;
  const constants = new Set(graph.initializer.map((initializer) => initializer.name));
  graph.input = graph.input.filter((input) => !constants.has(input.name));
  model.irVersion = functionIrVersion;
}

const named = (name: string): string => `atpatch_${name}`;

/** @param shapeless detector tensors that come in more than one shape */
function addInterface(
  graph: GraphProto,
  axes: readonly number[],
  shapeless: readonly DetectorTensorName[],
): void {
  graph.input.push(
    valueInfo(hotfixNames.mode, DataType.INT32, [named("batch")]),
    ...axes.map((axis) =>
      valueInfo(hotfixNames.force(axis), DataType.BOOL, [named("batch"), named(`force${axis}`)]),
    ),
    ...detectorTensorNames.map((name) =>
      valueInfo(
        hotfixNames.detector(name),
        name === "slot" ? DataType.INT64 : DataType.FLOAT,
        shapeless.includes(name) ? undefined : namedShape(name),
      ),
    ),
  );
  graph.output.push(
    ...axes.flatMap((axis) => [
      valueInfo(hotfixNames.flags(axis), DataType.INT32, [named("batch"), named(`keys${axis}`)]),
      valueInfo(hotfixNames.scores(axis), DataType.FLOAT, [named("batch"), named(`keys${axis}`)]),
    ]),
  );
}

/** The shape of a tensor, its lengths under names of ours. */
function namedShape(name: DetectorTensorName): (string | number)[] {
  // The references of one site may be lists or single numbers: their lengths have names of their own.
  return graphShapes[name].map((dim) =>
    typeof dim !== "string" ? dim : named(/^[TH]/.test(dim) ? `${name}_${dim.replace("?", "")}` : dim),
  );
}

/** What the sites return beside flags, when asked. */
function addReports(graph: GraphProto, sites: readonly AttentionSite[], taps: readonly TapKind[]): void {
  graph.input.push(valueInfo(hotfixNames.asked, DataType.BOOL, [askedKinds.length * sites.length]));
  graph.output.push(
    ...sites.flatMap(({ index }) =>
      siteOutputs(index, taps).map(({ name }) => valueInfo(name, DataType.FLOAT)),
    ),
  );
}

function addFunctions(
  model: ModelProto,
  forms: readonly PatchForm[],
  opset: number,
  taps: readonly TapKind[],
): void {
  const used = [...forms];
  // Taps of the patched map come from the form that returns it.
  if (taps.includes("patched")) used.push(...forms.map((form): PatchForm => ({ ...form, returns: "map" })));
  for (const form of new Map(used.map((each) => [patchOperator(each), each])).values()) {
    model.functions.push(attentionPatchFunction(form, opset));
  }
  model.opsetImport.push(create(OperatorSetIdProtoSchema, { domain: hotfixDomain, version: 1n }));
}
