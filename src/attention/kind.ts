/** Whether a site attends to its own sequence. */
import { sameAxis, type Axis } from "../onnx/axes/atom.ts";
import { DataType } from "../onnx/model.ts";
import type { ScoreProduct } from "./find-scores.ts";
import { streamBehind } from "./residual-stream.ts";
import type { Scope } from "./scope.ts";

/** Element types of token ids and masks; activations are floats, or bytes where they are quantised. */
const indices: ReadonlySet<number> = new Set([DataType.INT32, DataType.INT64, DataType.BOOL]);

/**
 * "self" when queries and keys are made of the same activations and run over the same positions, or over those of one
 * sequence of which one of them is a reduced or extended form (pooled keys, cached keys, queries of the first token only).
 * Learned queries are a sequence of their own, and so are two embeddings of the same token ids.
 */
export function kindOf(scope: Scope, { queries, keys, queryAxis, keyAxis }: ScoreProduct): "self" | "cross" {
  if (!scope.isData(queries)) return "cross";
  const behindQueries = streamBehind(scope, queries).tensors;
  const common = [...streamBehind(scope, keys).tensors].filter(
    (name) => behindQueries.has(name) && !indices.has(scope.types.of(name) ?? DataType.FLOAT),
  );
  if (common.length > 0 && queryAxis.length > 0 && sameAxis(queryAxis, keyAxis)) return "self";
  const holdsSequence = (axes: readonly Axis[]): boolean =>
    [queryAxis, keyAxis].some(
      (wanted) => isPositional(wanted) && axes.some((axis) => contains(axis, wanted)),
    );
  return common.some((name) => holdsSequence(scope.axes.axes(name) ?? [])) ? "self" : "cross";
}

function isPositional(axis: Axis): boolean {
  return axis.some(({ constant }) => !constant);
}

/** Whether the axis is made of the atoms of another, or is the whole of which that is a part. */
function contains(axis: Axis, wanted: Axis): boolean {
  return (
    sameAxis(axis, wanted) ||
    (axis.length === 1 && wanted.some(({ half }) => half !== null && half.of.id === axis[0]?.id))
  );
}
