/**
 * A model that is the network of the detector alone, made of the very nodes that the operator runs: it scores features that
 * runs have reported.
 *
 * Inputs:  features float32 [N,F,T] as a site reports them; row int64 [], the row of the stacked detector tensors; those
 *          tensors.
 * Output:  logits float32 [N,T].
 */
import { create } from "@bufbuild/protobuf";
import { encodeModel } from "../onnx/codec.ts";
import { Emitter } from "../onnx/emitter.ts";
import { FreshNames } from "../onnx/fresh-names.ts";
import { GraphProtoSchema, ModelProtoSchema, OperatorSetIdProtoSchema } from "../onnx/generated/onnx_pb.ts";
import { DataType, valueInfo } from "../onnx/model.ts";
import { networkTensorNames, placeFeatures } from "../shared/detector-tensors.ts";
import { graphShapes } from "../shared/graph-tensors.ts";
import { emitNetwork, ownNames } from "./detect.ts";

const opset = 17;

/** The bytes of the model. */
export function scoreModel(): Uint8Array {
  const e = new Emitter(opset, new FreshNames(), "score");
  const places = e.gather("features", e.int([...placeFeatures]), 1);
  const visible = e.toFloat(e.greater(e.reduce("ReduceMax", places, [1]), e.float(0)));
  const logits = emitNetwork(e, { all: "features", visible }, "row", ownNames(networkTensorNames));
  e.op("Identity", [e.squeeze(logits, [1])], {}, "logits");
  const model = create(ModelProtoSchema, {
    irVersion: 8n,
    opsetImport: [create(OperatorSetIdProtoSchema, { domain: "", version: BigInt(opset) })],
    graph: create(GraphProtoSchema, {
      name: "score",
      node: e.nodes,
      input: [
        valueInfo("features", DataType.FLOAT, ["N", "F?", "T"]),
        valueInfo("row", DataType.INT64, []),
        ...networkTensorNames.map((name) => valueInfo(name, DataType.FLOAT, graphShapes[name])),
      ],
      output: [valueInfo("logits", DataType.FLOAT, ["N", "T"])],
    }),
  });
  return encodeModel(model);
}
