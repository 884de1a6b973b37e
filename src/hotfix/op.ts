/**
 * The custom operator `ai.atpatch::AttentionPatch`, shipped as a model-local function: any stock runtime inlines it.
 *
 * Inputs:  map float32 [B,H,Tq,Tk], value float32 [B,Hv,Tk,d], mode int32 [B], the carried flags int32 [B,Tk],
 *          scores float32 [B,Tk] and repair bool [], then the detector tensors stacked over sites.
 * Outputs: the patched map and value, and the carried state after this site.
 * Attribute `site` (int64 tensor, scalar): index of the site.
 *
 * Two gates keep the common case cheap: detection runs only at sites that the detector names, and everything that
 * touches the map runs only when some sample in the batch is to be repaired.
 */
import { create } from "@bufbuild/protobuf";
import { FunctionProtoSchema, OperatorSetIdProtoSchema } from "../onnx/generated/onnx_pb.ts";
import { AttributeType, node, type FunctionProto } from "../onnx/model.ts";
import type { AttentionSite } from "../attention/site.ts";
import { detectorTensorNames } from "../shared/detector-tensors.ts";
import { emitDetection, identity, list, type Carried, type DetectorNames } from "./detect.ts";
import { Emitter } from "../onnx/emitter.ts";
import { FreshNames } from "../onnx/fresh-names.ts";
import { emitFeatures, type QueryPositions } from "./features.ts";
import { emitRedistribution } from "./redistribute.ts";

export const hotfixDomain = "ai.atpatch";

/** Names of the forms of the operator; oblong: queries and keys need not be equally many. */
export const patchOperator = {
  square: "AttentionPatch",
  self: "OblongAttentionPatch",
  cross: "CrossAttentionPatch",
} as const satisfies Record<QueryPositions, string>;

/** The operators of `collect` builds: (map, value) → φ [B,Tk,11], v [B,Tk,Hv·d], visible [B,Tk]. */
export const featureOperator = {
  square: "AttentionFeatures",
  self: "OblongAttentionFeatures",
  cross: "CrossAttentionFeatures",
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

  const site = e.fresh("site");
  const siteNode = node("Constant", [], [site], { value: 0 }, { name: `${site}/node` });
  const reference = siteNode.attribute[0];
  if (reference) {
    reference.type = AttributeType.TENSOR;
    reference.refAttrName = "site";
  }
  e.nodes.push(siteNode);

  const slot = e.gather(detector.slot, site);
  const detecting = e.branch();
  const found = emitDetection(
    detecting,
    { map: "map", value: "value", mode: "mode", site, slot },
    detector,
    before,
    queries,
  );
  const idle = e.branch();
  const unchanged = identity(idle, before);
  e.conditional(
    e.op("Greater", [slot, e.int(-1)]),
    { emitter: detecting, outputs: list(found) },
    { emitter: idle, outputs: list(unchanged) },
    list(after),
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
    inputs: ["map", "value", "mode", "flags", "scores", "repair", ...detectorTensorNames],
    outputs: ["map_out", "value_out", ...list(after)],
    attributes: ["site"],
    description:
      "Scores the key columns of an attention map, replaces flagged columns by benign attention and rescales the others.",
  });
}

/** Builds the feature function for one opset. */
export function attentionFeaturesFunction(queries: QueryPositions, opset: number): FunctionProto {
  const e = new Emitter(opset, new FreshNames(), "body");
  const features = emitFeatures(e, "map", "value", queries);
  const outputs = [features.attention, features.value, e.squeeze(features.visible, [1])];
  return modelFunction(e, featureOperator[queries], {
    inputs: ["map", "value"],
    outputs,
    attributes: [],
    description: "Features of the key columns of an attention map.",
  });
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
