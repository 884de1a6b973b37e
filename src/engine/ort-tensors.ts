/** Tensors of ours and of onnxruntime, both ways, without copying. Loads the runtime: for worker threads only. */
import { Tensor as OrtTensor } from "onnxruntime-node";
import { datatypes, type Tensor } from "../shared/tensor.ts";
import { fromOrtType, toOrtType } from "./ort-datatypes.ts";

/**
 * A runtime tensor on the same memory; the data must not change while a run uses it.
 * @throws AtPatchError ATPATCH_UNPROCESSABLE for datatypes the runtime does not take
 */
export function toOrtTensor(name: string, { datatype, shape, data }: Tensor): OrtTensor {
  const type = toOrtType(datatype, name);
  // Where Float16Array exists the constructor makes one of the bit patterns, which the binding then cannot read; it takes
  // any object of a tensor's form.
  if (type === "float16") return { type, dims: shape, data, location: "cpu" } as unknown as OrtTensor;
  return new OrtTensor(type, data as OrtTensor.DataType, shape);
}

/**
 * A tensor of ours on the memory of a runtime tensor.
 * @throws AtPatchError ATPATCH_UNPROCESSABLE for types without a numeric datatype
 */
export function fromOrtTensor(name: string, from: OrtTensor): Tensor {
  const datatype = fromOrtType(from.type, name);
  const data = from.data as Tensor["data"];
  // Newer Node versions return half precision as Float16Array; ours are bit patterns.
  const view =
    data instanceof datatypes[datatype]
      ? data
      : new datatypes[datatype](
          (data as Uint8Array<ArrayBuffer>).buffer,
          (data as Uint8Array).byteOffset,
          (data as Uint8Array).length,
        );
  return { datatype, shape: from.dims, data: view };
}
