/** A model that is nothing but one hot-fix operator, for comparing it with its plain TypeScript reference. */
import { create } from "@bufbuild/protobuf";
import { GraphProtoSchema, ModelProtoSchema, OperatorSetIdProtoSchema } from "../onnx/generated/onnx_pb.ts";
import { encodeModel } from "../onnx/codec.ts";
import { DataType, node, valueInfo } from "../onnx/model.ts";
import { detectorTensorNames } from "../shared/detector-tensors.ts";
import type { QueryPositions } from "../hotfix/features.ts";
import { attentionPatchFunction, hotfixDomain, patchOperator, siteAttribute } from "../hotfix/op.ts";

/** Bytes of a model with the operator's inputs and outputs as its own. */
export function opModel(opset: number, kind: QueryPositions, site = 0): Uint8Array {
  const inputs = ["map", "value", "mode", "flags", "scores", "repair", "examine", ...detectorTensorNames];
  const outputs = ["map_out", "value_out", "flags_out", "scores_out", "repair_out", "features"];
  const types: Record<string, DataType> = {
    mode: DataType.INT32,
    flags: DataType.INT32,
    repair: DataType.BOOL,
    examine: DataType.BOOL,
    slot: DataType.INT64,
    flags_out: DataType.INT32,
    repair_out: DataType.BOOL,
  };
  const info = (name: string) => valueInfo(name, types[name] ?? DataType.FLOAT);
  return encodeModel(
    create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [
        create(OperatorSetIdProtoSchema, { domain: "", version: BigInt(opset) }),
        create(OperatorSetIdProtoSchema, { domain: hotfixDomain, version: 1n }),
      ],
      functions: [attentionPatchFunction(kind, opset)],
      graph: create(GraphProtoSchema, {
        name: "op",
        input: inputs.map(info),
        output: outputs.map(info),
        node: [
          node(patchOperator[kind], inputs, outputs, siteAttribute(opset, site), { domain: hotfixDomain }),
        ],
      }),
    }),
  );
}
