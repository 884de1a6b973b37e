/**
 * The custom operator `ai.atpatch::AttentionPatch`, shipped as a model-local function: any stock runtime inlines it.
 *
 * Inputs:  map float32 [B,H,Tq,Tk], value float32 [B,Hv,Tk,d], mode int32 [B], the carried flags int32 [B,Tk],
 *          scores float32 [B,Tk] and repair bool [], examine bool [1] (whether the site computes features), attention bool [1]
 *          (whether φ is among them), then the detector tensors stacked over sites, as `graph-tensors.ts` has them.
 * Outputs: the product of the patched map and value, or both of them (see `PatchForm`), the carried state after this site,
 *          and the features [φ; v] float32 [B,11+Hv·d,Tk], nothing where the site is not examined.
 * Attribute `site` (int64 tensor, scalar; float before opset 9): index of the site.
 *
 * One gate keeps the common case cheap: a site that is not examined, in a batch without a column to repair, is the product
 * of the model itself. The product stands inside the gate, so that no branch hands a map on.
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
import {
  emitFlags,
  emitScores,
  identity,
  list,
  ownNames,
  type Carried,
  type DetectorNames,
} from "./detect.ts";
import { Emitter } from "../onnx/emitter.ts";
import { FreshNames } from "../onnx/fresh-names.ts";
import { emitFeatures, type QueryPositions } from "./features.ts";
import { emitNothing, emitSomething } from "./nothing.ts";
import { emitRedistribution } from "./redistribute.ts";
import { emitRepairedProduct } from "./repair-product.ts";

export const hotfixDomain = "ai.atpatch";

/**
 * A form of the operator. `queries`: oblong, queries and keys need not be equally many. `returns`: the product of map and
 * values, or the patched map and values for whatever reads them.
 */
export interface PatchForm {
  readonly queries: QueryPositions;
  readonly returns: "product" | "map";
}

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
  "examine",
  "attention",
  ...detectorTensorNames,
] as const;

/** Names of what a form returns before the carried state. */
const results = { product: ["product"], map: ["map_out", "value_out"] } as const;

/** Builds the patch function for one opset. */
export function attentionPatchFunction(form: PatchForm, opset: number): FunctionProto {
  const e = new Emitter(opset, new FreshNames(), "body");
  const detector = ownNames(detectorTensorNames);
  const before: Carried = { flags: "flags", scores: "scores", repair: "repair" };
  const after: Carried = { flags: "flags_out", scores: "scores_out", repair: "repair_out" };
  const site = emitSite(e);

  const working = e.branch();
  const idle = e.branch();
  e.conditional(
    e.op("Or", ["examine", before.repair]),
    { emitter: working, outputs: emitWorking(working, form, site, detector, before) },
    {
      emitter: idle,
      outputs: [...emitUntouched(idle, form), ...list(identity(idle, before)), emitNothing(idle, 3, "mode")],
    },
    [...results[form.returns], ...list(after), "features"],
  );

  return modelFunction(e, patchOperator(form), {
    inputs: patchInputs,
    outputs: [...results[form.returns], ...list(after), "features"],
    attributes: ["site"],
    description:
      "Scores the key columns of an attention map, replaces flagged columns by benign attention and rescales the others.",
  });
}

/** What a site returns that is examined, or has columns to repair: outcome, carried state and features. */
function emitWorking(
  e: Emitter,
  form: PatchForm,
  site: string,
  detector: DetectorNames,
  before: Carried,
): string[] {
  const slot = e.gather(detector.slot, site);
  const detecting = e.branch();
  const detected = emitDetecting(detecting, form, { site, slot }, detector, before);
  const passing = e.branch();
  const passed = emitPassing(passing, form, site, detector, before);
  const outputs = detected.map(() => e.fresh("working"));
  e.conditional(
    e.greater(slot, e.int(-1)),
    { emitter: detecting, outputs: detected },
    { emitter: passing, outputs: passed },
    outputs,
  );
  return outputs;
}

/** With a detector: features, scores, and in one gate what follows from them. */
function emitDetecting(
  e: Emitter,
  form: PatchForm,
  { site, slot }: { readonly site: string; readonly slot: string },
  detector: DetectorNames,
  before: Carried,
): string[] {
  const features = emitFeatures(e, "map", "value", form.queries, "attention");
  const scores = emitScores(e, { features, slot }, detector);
  const acting = e.branch();
  const flagged = emitFlags(acting, { features, mode: "mode", site, slot }, detector, before, scores);
  const quiet = e.branch();
  const acted = [...emitOutcome(acting, form, site, detector, flagged), ...list(flagged)];
  const judged = acted.map(() => e.fresh("judged"));
  e.conditional(
    e.op("Or", [e.any(scores.reaching), before.repair]),
    { emitter: acting, outputs: acted },
    { emitter: quiet, outputs: [...emitUntouched(quiet, form), ...list(identity(quiet, before))] },
    judged,
  );
  return [...judged, emitSomething(e, features.all, "mode")];
}

/** Without one: features if somebody wants them, and the repair of columns that were flagged before. */
function emitPassing(
  e: Emitter,
  form: PatchForm,
  site: string,
  detector: DetectorNames,
  before: Carried,
): string[] {
  const reporting = e.branch();
  const { all } = emitFeatures(reporting, "map", "value", form.queries, "attention");
  const silent = e.branch();
  const features = e.fresh("features");
  e.conditional(
    "examine",
    { emitter: reporting, outputs: [emitSomething(reporting, all, "mode")] },
    { emitter: silent, outputs: [emitNothing(silent, 3, "mode")] },
    [features],
  );
  return [...emitOutcome(e, form, site, detector, before), ...list(identity(e, before)), features];
}

/** What the form returns, repaired when some sample is to be repaired. */
function emitOutcome(
  e: Emitter,
  form: PatchForm,
  site: string,
  detector: DetectorNames,
  { flags, repair }: Carried,
): string[] {
  const inputs = { map: "map", value: "value", mode: "mode", site, flags };
  const repairing = e.branch();
  const repaired =
    form.returns === "product"
      ? [emitRepairedProduct(repairing, inputs, detector)]
      : Object.values(emitRedistribution(repairing, inputs, detector));
  const passing = e.branch();
  const outcome = repaired.map(() => e.fresh("outcome"));
  e.conditional(
    repair,
    { emitter: repairing, outputs: repaired },
    { emitter: passing, outputs: emitUntouched(passing, form) },
    outcome,
  );
  return outcome;
}

/** What the form returns where nothing is to be repaired: what the model computes by itself. */
function emitUntouched(e: Emitter, { returns }: PatchForm): string[] {
  if (returns === "product") return [e.op("MatMul", ["map", "value"])];
  return [e.op("Identity", ["map"]), e.op("Identity", ["value"])];
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
