/**
 * A patched model for servers that know nothing of AtPatch: the inputs that the hot-fix adds get default values
 * (initializers of the same name), so that a client sends what it always sent.
 */
import { create } from "@bufbuild/protobuf";
import { TensorProtoSchema } from "../onnx/generated/onnx_pb.ts";
import { DataType, type GraphProto, type ModelProto, type TensorProto } from "../onnx/model.ts";
import { requiredInputs } from "../onnx/tensor-info.ts";
import { detectorTensorNames, type DetectorTensors } from "../shared/detector-tensors.ts";
import { graphTensor } from "../shared/graph-tensors.ts";
import { AtPatchError } from "../shared/errors.ts";
import { hotfixNames, modeCodes, type Mode } from "../shared/patched-model.ts";
import type { Emitter } from "../onnx/emitter.ts";

export interface DetectorDefaults {
  readonly detector: DetectorTensors;
  readonly mode: Mode;
}

/**
 * The mode of every sample, int32 [B], from a default of shape [1].
 * @throws AtPatchError ATPATCH_MODEL_REFUSED when the model has no input to take the batch size from
 */
export function emitModePerSample(e: Emitter, model: ModelProto): string {
  const first = model.graph && requiredInputs(model.graph)[0];
  if (!first) throw new AtPatchError("ATPATCH_MODEL_REFUSED", "the model has no input, so it has no batch");
  return e.expand(hotfixNames.mode, e.dim(first.name, 0));
}

/** Adds the default values. */
export function addDefaults(graph: GraphProto, { detector, mode }: DetectorDefaults): void {
  const raw = (data: ArrayBufferView): Uint8Array =>
    new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const constant = (
    name: string,
    dataType: DataType,
    dims: readonly number[],
    data: ArrayBufferView,
  ): TensorProto => create(TensorProtoSchema, { name, dataType, dims: dims.map(BigInt), rawData: raw(data) });
  const first = hotfixNames.force(0);
  const forceDefault = (name: string): TensorProto => {
    const columns = name === first && detector.forced ? detector.forced.data : Uint8Array.of(0);
    return constant(name, DataType.BOOL, [1, columns.length], columns);
  };
  graph.initializer.push(
    constant(hotfixNames.mode, DataType.INT32, [1], Int32Array.of(modeCodes[mode])),
    ...graph.input
      .filter(({ name }) => name.startsWith(hotfixNames.force(0).slice(0, -1)))
      .map(({ name }) => forceDefault(name)),
    ...detectorTensorNames.map((name) => {
      const { datatype, shape, data } = graphTensor(name, detector[name]);
      const type = datatype === "INT64" ? DataType.INT64 : DataType.FLOAT;
      return constant(hotfixNames.detector(name), type, shape, data);
    }),
  );
}
