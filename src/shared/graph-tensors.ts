/**
 * The tensors of a detector as the graph takes them, laid out for the nodes that read them: mean and scale as columns, which
 * broadcast over the key axis, and references by keys, so that those of a few columns are whole rows.
 */
import { detectorShapes, type DetectorTensorName } from "./detector-tensors.ts";
import type { Tensor } from "./tensor.ts";

/** Shapes of the tensors; T = S·Tk, the keys of one site after those of another, or S where they broadcast. */
export const graphShapes = {
  ...detectorShapes,
  feature_mean: ["D", "F", 1],
  feature_scale: ["D", "F", 1],
  reference_attention: ["T", "H", "Tq"],
  reference_value: ["T", "Hv", "d"],
} as const satisfies Readonly<Record<DetectorTensorName, readonly (string | number)[]>>;

/** A tensor of a bundle as the graph takes it; on the same memory where only the shape differs. */
export function graphTensor(name: DetectorTensorName, tensor: Tensor): Tensor {
  switch (name) {
    case "feature_mean":
    case "feature_scale":
      return { ...tensor, shape: [...tensor.shape, 1] };
    case "reference_attention":
      return keysFirst(tensor, 3);
    case "reference_value":
      return keysFirst(tensor, 2);
    default:
      return tensor;
  }
}

/** [S, a, b, c] with the key axis second, and both in one: [S·Tk, …]. */
function keysFirst({ datatype, shape, data }: Tensor, axis: 2 | 3): Tensor {
  const [sites = 0, ...rest] = shape;
  const keys = shape[axis] ?? 0;
  const others = rest.filter((_, at) => at !== axis - 1);
  const turned = { datatype, shape: [sites * keys, ...others] };
  if (keys === 1) return { ...turned, data };
  /** Elements before the key axis, of one site, and after it. */
  const outer = shape.slice(1, axis).reduce((product, dim) => product * dim, 1);
  const inner = shape.slice(axis + 1).reduce((product, dim) => product * dim, 1);
  const from = data as Float32Array;
  const to = new Float32Array(from.length);
  for (let site = 0, at = 0; site < sites; site++) {
    for (let key = 0; key < keys; key++) {
      for (let row = 0; row < outer; row++) {
        const start = ((site * outer + row) * keys + key) * inner;
        for (let i = 0; i < inner; i++) to[at++] = from[start + i]!;
      }
    }
  }
  return { ...turned, data: to };
}
