/**
 * The custom operator `ai.atpatch::AttentionPatch`, shipped as a model-local function: any stock runtime inlines it.
 *
 * Inputs:  map float32 [B,H,Tq,Tk], value float32 [B,Hv,Tk,d], mode int32 [B], the carried flags int32 [B,Tk],
 *          scores float32 [B,Tk] and repair bool [], examine bool [S] (sites whose features are computed), then the
 *          detector tensors stacked over sites.
 * Outputs: the patched map and value, the carried state after this site, and the features [φ; v] float32 [B,Tk,11+Hv·d],
 *          empty where the site is not examined.
 * Attribute `site` (int64 tensor, scalar; float before opset 9): index of the site.
 *
 * Gates keep the common case cheap: features are computed only at sites that the detector names or that are to report
 * them, and everything that touches the map runs only when some sample in the batch is to be repaired.
 */
import { create } from "@bufbuild/protobuf";
import { FunctionProtoSchema, OperatorSetIdProtoSchema } from "../onnx/generated/onnx_pb.ts";
import {
  AttributeType,
  DataType,
  floatTensor,
  int64Tensor,
  node,
  type FunctionProto,
  type TensorProto,
} from "../onnx/model.ts";
import type { AttentionSite } from "../attention/site.ts";
import { detectorTensorNames } from "../shared/detector-tensors.ts";
import { emitDetection, identity, list, type Carried, type DetectorNames } from "./detect.ts";
import { Emitter } from "../onnx/emitter.ts";
import { FreshNames } from "../onnx/fresh-names.ts";
import { emitFeatures, type QueryPositions } from "./features.ts";
import { emitNothing } from "./nothing.ts";
import { emitRedistribution } from "./redistribute.ts";

export const hotfixDomain = "ai.atpatch";

/** Names of the forms of the operator; oblong: queries and keys need not be equally many. */
export const patchOperator = {
  square: "AttentionPatch",
  self: "OblongAttentionPatch",
  cross: "CrossAttentionPatch",
} as const satisfies Record<QueryPositions, string>;

/** The form of the operator for a site. */
export function queryPositions({ kind, square }: Pick<AttentionSite, "kind" | "square">): QueryPositions {
  return kind === "self" && square ? "square" : kind;
}

/** Builds the patch function for one opset. */
export function attentionPatchFunction(queries: QueryPositions, opset: number): FunctionProto {
  const e = new Emitter(opset, new FreshNames(), "body");
  const detector = Object.fromEntries(detectorTensorNames.map((name) => [name, name])) as DetectorNames;
  const before: Carried = { flags: "flags", scores: "scores", repair: "repair" };
  const after: Carried = { flags: "flags_out", scores: "scores_out", repair: "repair_out" };

  const site = emitSite(e);

  const examining = e.branch();
  const features = emitFeatures(examining, "map", "value", queries);
  const slot = examining.gather(detector.slot, site);
  const found: Carried = {
    flags: e.fresh("flags"),
    scores: e.fresh("scores"),
    repair: e.fresh("repair"),
  };
  const detecting = examining.branch();
  const detected = emitDetection(detecting, { features, mode: "mode", site, slot }, detector, before);
  const reporting = examining.branch();
  examining.conditional(
    examining.greater(slot, examining.int(-1)),
    { emitter: detecting, outputs: list(detected) },
    { emitter: reporting, outputs: list(identity(reporting, before)) },
    list(found),
  );
  const idle = e.branch();
  e.conditional(
    e.gather("examine", site),
    { emitter: examining, outputs: [...list(found), features.all] },
    { emitter: idle, outputs: [...list(identity(idle, before)), emitNothing(idle, 3, "mode")] },
    [...list(after), "features"],
  );

  const repairing = e.branch();
  const repaired = emitRedistribution(
    repairing,
    { map: "map", value: "value", mode: "mode", site, flags: after.flags },
    detector,
  );
  const passing = e.branch();
  const passed = [passing.op("Identity", ["map"]), passing.op("Identity", ["value"])];
  e.conditional(
    after.repair,
    { emitter: repairing, outputs: [repaired.map, repaired.value] },
    { emitter: passing, outputs: passed },
    ["map_out", "value_out"],
  );

  return modelFunction(e, patchOperator[queries], {
    inputs: ["map", "value", "mode", "flags", "scores", "repair", "examine", ...detectorTensorNames],
    outputs: ["map_out", "value_out", ...list(after), "features"],
    attributes: ["site"],
    description:
      "Scores the key columns of an attention map, replaces flagged columns by benign attention and rescales the others.",
  });
}

/** The attribute of an operator that names its site. Constants, which it becomes, are floats before opset 9. */
export function siteAttribute(opset: number, site: number): { readonly site: TensorProto } {
  return { site: (opset < 9 ? floatTensor : int64Tensor)("", [], [site]) };
}

/** The attribute as an int64 scalar. */
function emitSite(e: Emitter): string {
  const given = e.fresh("site");
  const constant = node("Constant", [], [given], { value: 0 }, { name: `${given}/node` });
  const reference = constant.attribute[0];
  if (reference) {
    reference.type = AttributeType.TENSOR;
    reference.refAttrName = "site";
  }
  e.nodes.push(constant);
  return e.opset < 9 ? e.cast(given, DataType.INT64) : given;
}

function modelFunction(
  e: Emitter,
  name: string,
  signature: {
    inputs: readonly string[];
    outputs: readonly string[];
    attributes: readonly string[];
    description: string;
  },
): FunctionProto {
  return create(FunctionProtoSchema, {
    name,
    domain: hotfixDomain,
    input: [...signature.inputs],
    output: [...signature.outputs],
    attribute: [...signature.attributes],
    node: e.nodes,
    opsetImport: [create(OperatorSetIdProtoSchema, { domain: "", version: BigInt(e.opset) })],
    docString: signature.description,
  });
}
