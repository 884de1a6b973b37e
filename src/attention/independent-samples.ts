/** Whether the samples of a batch stay apart from the first to the last node of a model. */
import type { Axis } from "../onnx/axes/atom.ts";
import { opsetOf, type ModelProto, type ValueInfoProto } from "../onnx/model.ts";
import { allNodes } from "../onnx/walk.ts";
import { batchAtoms } from "./sample-layout.ts";
import { Scope } from "./scope.ts";
import type { AttentionSite } from "./site.ts";

/** Operators that take one scale from the whole batch: a sample then moves the rounding of its neighbours. */
const batchWide = new Set(["DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"]);

/**
 * True when every input and output counts the samples in its first dimension, attention stays inside a sample, no other
 * dimension of an output runs over samples (as the similarities of an image and a text encoder do), and no operator takes
 * its scale from the whole batch. Where the axes are not known the answer is no: requests are then never joined, which
 * only costs time.
 */
export function independentSamples(model: ModelProto, sites: readonly AttentionSite[]): boolean {
  const { graph } = model;
  if (!graph) return false;
  for (const node of allNodes(graph)) if (batchWide.has(node.opType)) return false;
  const scope = new Scope(graph, opsetOf(model));
  const inputs = graph.input.filter(({ name }) => scope.index.input(name));
  if (inputs.length === 0 || !inputs.every(hasOpenBatch)) return false;

  const batch = batchAtoms(scope);
  const runsOverSamples = (axis: Axis): boolean => axis.some(({ id }) => batch.has(id));
  const inMain = sites.filter((site) => site.graph === graph);
  const attendsInside = inMain.every(({ map, mapPermutation }) => {
    const axes = scope.axes.axes(map) ?? [];
    const ordered = mapPermutation?.map((axis) => axes[axis] ?? []) ?? axes;
    const [outer = []] = ordered;
    return runsOverSamples(outer) && !ordered.slice(-2).some(runsOverSamples);
  });
  if (inMain.length === 0 || !attendsInside) return false;
  return graph.output.every(({ name }) => {
    const [first = [], ...rest] = scope.axes.axes(name) ?? [];
    return first.length === 1 && runsOverSamples(first) && !rest.some(runsOverSamples);
  });
}

/** Whether the first dimension is left to the caller. */
function hasOpenBatch({ type }: ValueInfoProto): boolean {
  const shape = type?.value.case === "tensorType" ? type.value.value.shape : undefined;
  const first = shape?.dim[0]?.value;
  return first !== undefined && first.case !== "dimValue";
}
