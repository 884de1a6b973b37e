/** Which files beside the model its constants are read from. */
import { AtPatchError } from "../shared/errors.ts";
import { byteLength } from "./data-types.ts";
import { AttributeType, type ModelProto, type TensorProto } from "./model.ts";
import { externalReference, isExternal, type ExternalReference } from "./tensor-data.ts";
import { allNodes, graphsOf } from "./walk.ts";

/** One external tensor: where its bytes are and which tensor needs them. */
export interface ExternalTensor extends ExternalReference {
  readonly tensor: string;
}

/** Every constant tensor of the model: initializers of all graphs and tensors held by attributes. */
export function* constantTensors(model: ModelProto): Generator<TensorProto> {
  for (const graph of graphsOf(model)) {
    yield* graph.initializer;
    for (const { values, indices } of graph.sparseInitializer) {
      if (values) yield values;
      if (indices) yield indices;
    }
  }
  for (const holder of [...(model.graph ? [model.graph] : []), ...model.functions]) {
    for (const node of allNodes(holder)) {
      for (const { type, t, tensors } of node.attribute) {
        if (type === AttributeType.TENSOR && t) yield t;
        if (type === AttributeType.TENSORS) yield* tensors;
      }
    }
  }
}

/**
 * The external data of a model in file order. The caller holds them against the folder: every file must exist, be no
 * link that leaves the folder, and have at least offset + length bytes.
 * @throws AtPatchError ATPATCH_BAD_MODEL when a location leaves the folder of the model or a size does not fit
 */
export function externalTensors(model: ModelProto): ExternalTensor[] {
  const found: ExternalTensor[] = [];
  for (const tensor of constantTensors(model)) {
    if (!isExternal(tensor)) continue;
    const reference = externalReference(tensor);
    checkLocation(tensor, reference.location);
    const expected = byteLength(tensor.dataType, tensor.dims);
    if (reference.length !== undefined && expected !== undefined && reference.length !== expected) {
      throw new AtPatchError(
        "ATPATCH_BAD_MODEL",
        `tensor "${tensor.name}" has ${reference.length} bytes of data, its dimensions need ${expected}`,
      );
    }
    found.push({ tensor: tensor.name, ...reference, length: reference.length ?? expected });
  }
  return found;
}

/** Refuses absolute paths, drive letters, backslashes and every step upwards. */
function checkLocation(tensor: TensorProto, location: string): void {
  const steps = location.split("/");
  const escapes = location.startsWith("/") || /^[a-zA-Z]:/.test(location) || /[\\\0]/.test(location);
  if (escapes || steps.includes("..")) {
    throw new AtPatchError(
      "ATPATCH_BAD_MODEL",
      `tensor "${tensor.name}" takes its data from "${location.slice(0, 80)}", which leaves the folder of the model`,
    );
  }
}
