/**
 * A model that is the network of the detector alone, made of the very nodes that the operator runs: it scores features that
 * runs have reported.
 *
 * Inputs:  features float32 [N,T,11] and values float32 [N,T,W], φ and v column by column; visible float32 [N,T], above 0 for
 *          visible keys; row int64 [], the row of the stacked detector tensors; those tensors.
 * Output:  logits float32 [N,T].
 */
import { create } from "@bufbuild/protobuf";
import { encodeModel } from "../onnx/codec.ts";
import { Emitter } from "../onnx/emitter.ts";
import { FreshNames } from "../onnx/fresh-names.ts";
import { GraphProtoSchema, ModelProtoSchema, OperatorSetIdProtoSchema } from "../onnx/generated/onnx_pb.ts";
import { DataType, valueInfo } from "../onnx/model.ts";
import { detectorShapes, networkTensorNames } from "../shared/detector-tensors.ts";
import { emitNetwork, ownNames } from "./detect.ts";

const opset = 17;

/** The bytes of the model. */
export function scoreModel(): Uint8Array {
  const e = new Emitter(opset, new FreshNames(), "score");
  const all = e.transpose(e.concat(["features", "values"], 2), [0, 2, 1]);
  const visible = e.unsqueeze(e.toFloat(e.greater("visible", e.float(0))), [1]);
  e.op("Identity", [emitNetwork(e, { all, visible }, "row", ownNames(networkTensorNames))], {}, "logits");
  const model = create(ModelProtoSchema, {
    irVersion: 8n,
    opsetImport: [create(OperatorSetIdProtoSchema, { domain: "", version: BigInt(opset) })],
    graph: create(GraphProtoSchema, {
      name: "score",
      node: e.nodes,
      input: [
        valueInfo("features", DataType.FLOAT, ["N", "T", "phi"]),
        valueInfo("values", DataType.FLOAT, ["N", "T", "W"]),
        valueInfo("visible", DataType.FLOAT, ["N", "T"]),
        valueInfo("row", DataType.INT64, []),
        ...networkTensorNames.map((name) => valueInfo(name, DataType.FLOAT, [...detectorShapes[name]])),
      ],
      output: [valueInfo("logits", DataType.FLOAT, ["N", "T"])],
    }),
  });
  return encodeModel(model);
}
