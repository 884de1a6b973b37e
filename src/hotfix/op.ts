/**
 * The custom operator `ai.atpatch::AttentionPatch`, shipped as a model-local function: any stock runtime inlines it.
 *
 * Inputs:  map float32 [B,H,Tq,Tk], value float32 [B,Hv,Tk,d], mode int32 [B], the carried flags int32 [B,Tk],
 *          scores float32 [B,Tk] and repair bool [], what the site is asked for, bool [1] each (see `askedKinds`), then the
 *          detector tensors as `graph-tensors.ts` has them: stacked, or those of a pointwise detector.
 * Outputs: the product of the patched map and value, or both of them (see `PatchForm`), the carried state after this site,
 *          the features and the values (see `hotfixNames.reported` and `values`).
 * Attribute `site` (int64 tensor, scalar; float before opset 9): index of the site.
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
import { askedKinds } from "../shared/patched-model.ts";
import { list, ownNames, type Carried } from "./detect.ts";
import { Emitter } from "../onnx/emitter.ts";
import { FreshNames } from "../onnx/fresh-names.ts";
import type { QueryPositions } from "./features.ts";
import { emitSite, type PatchForm } from "./site-branches.ts";

export const hotfixDomain = "ai.atpatch";

/** Name of a form of the operator. */
export function patchOperator({ queries, returns }: PatchForm): string {
  const positions = { square: "", self: "Oblong", cross: "Cross" } as const;
  return `${positions[queries]}Attention${returns === "map" ? "Map" : ""}Patch`;
}

/** How queries and keys of a site compare. */
export function queryPositions({ kind, square }: Pick<AttentionSite, "kind" | "square">): QueryPositions {
  return kind === "self" && square ? "square" : kind;
}

/** Names of the inputs, the same for every form. */
export const patchInputs = [
  "map",
  "value",
  "mode",
  "flags",
  "scores",
  "repair",
  ...askedKinds,
  ...detectorTensorNames,
] as const;

/** Names of what a form returns before the carried state. */
const results = { product: ["product"], map: ["map_out", "value_out"] } as const;

/** Builds the patch function for one opset. */
export function attentionPatchFunction(form: PatchForm, opset: number): FunctionProto {
  const e = new Emitter(opset, new FreshNames(), "body");
  const before: Carried = { flags: "flags", scores: "scores", repair: "repair" };
  const after: Carried = { flags: "flags_out", scores: "scores_out", repair: "repair_out" };
  const outputs = [...results[form.returns], ...list(after), "features", "values"];
  emitSite(e, { form, index: emitIndex(e), detector: ownNames(detectorTensorNames), before }, outputs);
  return modelFunction(e, patchOperator(form), {
    inputs: patchInputs,
    outputs,
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
function emitIndex(e: Emitter): string {
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
