/** Makes a model's attention open to patches and finds it. */
import { FreshNames } from "../onnx/fresh-names.ts";
import { inlineFunctions } from "../onnx/inline-functions.ts";
import { opsetOf, type ModelProto, type NodeProto } from "../onnx/model.ts";
import { sortNodes } from "../onnx/sort-nodes.ts";
import { allNodes, nodeLabel } from "../onnx/walk.ts";
import { AtPatchError } from "../shared/errors.ts";
import { expandGraph, type Provenance } from "./expand/expand-graph.ts";
import { findSites, type Origin } from "./find-sites.ts";
import type { ScanResult } from "./site.ts";

/**
 * Changes a valid model in place: local functions are inlined and fused attention operators written out where they can be;
 * then looks for sites. The model computes what it computed before.
 * @throws AtPatchError ATPATCH_MODEL_REFUSED for an operator that would end the runtime's process
 */
export function prepareModel(model: ModelProto): ScanResult {
  const { graph } = model;
  if (!graph) return { sites: [], nearMisses: [] };
  const inlined = inlineFunctions(model);
  graph.node = sortNodes(graph.node);
  const done: Provenance = { fused: new Map(), refused: new Map() };
  expandGraph(graph, opsetOf(model), new FreshNames(model), done);
  for (const node of allNodes(graph)) refuseCrash(node);

  const functionNodes = new Set([...inlined].map(({ name }) => name));
  return findSites(model, (node): Origin => {
    const fused = done.fused.get(node);
    const inFunction = inlined.has(node) || (fused !== undefined && functionNodes.has(fused.node));
    return {
      ...fused,
      ...(inFunction && { where: "function" }),
      ...(done.refused.has(node) && { refused: done.refused.get(node) ?? "" }),
    };
  });
}

/** onnxruntime 1.30 crashes the whole process on com.microsoft.Attention without a bias (onnxruntime issue 25005). */
function refuseCrash(node: NodeProto): void {
  if (node.domain !== "com.microsoft" || node.opType !== "Attention" || (node.input[2] ?? "") !== "") return;
  throw new AtPatchError(
    "ATPATCH_MODEL_REFUSED",
    `node ${nodeLabel(node)} is a com.microsoft.Attention without bias, which crashes the runtime, and it cannot be written out`,
  );
}
