/** A model that is nothing but the hot-fix operator in both its forms, for comparing it with its plain TypeScript reference. */
import { create } from "@bufbuild/protobuf";
import { GraphProtoSchema, ModelProtoSchema, OperatorSetIdProtoSchema } from "../onnx/generated/onnx_pb.ts";
import { encodeModel } from "../onnx/codec.ts";
import { DataType, node, valueInfo } from "../onnx/model.ts";
import type { QueryPositions } from "../hotfix/features.ts";
import {
  attentionPatchFunction,
  hotfixDomain,
  patchInputs,
  patchOperator,
  siteAttribute,
} from "../hotfix/op.ts";
import type { PatchForm } from "../hotfix/site-branches.ts";
import { askedKinds } from "../shared/patched-model.ts";

/**
 * Bytes of a model with the operator's inputs and outputs as its own: `product` from one form, map and value from the
 * other, and what both return under the names of the first.
 */
export function opModel(opset: number, kind: QueryPositions, site = 0): Uint8Array {
  const common = ["flags_out", "scores_out", "repair_out", "features", "values"];
  const again = common.map((name) => `map_${name}`);
  const outputs = ["product", "map_out", "value_out", ...common, ...again];
  const attribute = siteAttribute(opset, site);
  const product: PatchForm = { queries: kind, returns: "product", pointwise: true };
  const map: PatchForm = { queries: kind, returns: "map", pointwise: true };
  const call = (form: PatchForm, results: string[]) =>
    node(patchOperator(form), patchInputs, results, attribute, { domain: hotfixDomain });
  const types: Record<string, DataType> = {
    mode: DataType.INT32,
    flags: DataType.INT32,
    repair: DataType.BOOL,
    ...Object.fromEntries(askedKinds.map((asked) => [asked, DataType.BOOL])),
    slot: DataType.INT64,
    flags_out: DataType.INT32,
    repair_out: DataType.BOOL,
    map_flags_out: DataType.INT32,
    map_repair_out: DataType.BOOL,
  };
  const info = (name: string) => valueInfo(name, types[name] ?? DataType.FLOAT);
  return encodeModel(
    create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [
        create(OperatorSetIdProtoSchema, { domain: "", version: BigInt(opset) }),
        create(OperatorSetIdProtoSchema, { domain: hotfixDomain, version: 1n }),
      ],
      functions: [product, map].map((form) => attentionPatchFunction(form, opset)),
      graph: create(GraphProtoSchema, {
        name: "op",
        input: patchInputs.map(info),
        output: outputs.map(info),
        node: [call(product, ["product", ...common]), call(map, ["map_out", "value_out", ...again])],
      }),
    }),
  );
}
