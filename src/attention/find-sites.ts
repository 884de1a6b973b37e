/** Finds the attention sites of a model by what its nodes compute, never by their names. */
import { opsetOf, type GraphProto, type ModelProto, type NodeProto } from "../onnx/model.ts";
import { operatorOf } from "../onnx/contraction.ts";
import { subgraphsOf } from "../onnx/walk.ts";
import { examine, type Draft, type Refusal } from "./examine.ts";
import { normalisationsOf } from "./normalisation.ts";
import { numberSites, type Located } from "./number-sites.ts";
import { fusedReason } from "./fused-operators.ts";
import { Scope } from "./scope.ts";
import type { NearMiss, ScanResult } from "./site.ts";

/**
 * A site is a softmax whose scores are a product of two activations and whose weights meet a third one in a product over
 * the axis they sum to one over. Sites come in execution order, those of an If where the If stands, its then branch first.
 * @param model a valid model whose fused operators are expanded and whose local functions are inlined
 */
export function findSites(model: ModelProto): ScanResult {
  const located: Located[] = [];
  const misses: (NearMiss & Refusal)[] = [];
  if (model.graph) scan(model.graph, opsetOf(model), null, "main", located, misses);
  misses.sort((a, b) => b.nearness - a.nearness);
  return {
    sites: numberSites(located),
    nearMisses: misses.map(({ node, reason }) => ({ node, reason })),
  };
}

function scan(
  graph: GraphProto,
  opset: number,
  outer: Scope | null,
  where: string,
  located: Located[],
  misses: (NearMiss & Refusal)[],
): void {
  const scope = new Scope(graph, opset, outer);
  const candidates = new Map(
    normalisationsOf(scope).map((candidate) => [
      "found" in candidate ? candidate.found.node : candidate.node,
      candidate,
    ]),
  );
  for (const node of graph.node) {
    const candidate = candidates.get(node);
    const result: Draft | Refusal | null = !candidate
      ? fused(node)
      : "found" in candidate
        ? examine(scope, candidate.found)
        : { reason: candidate.reason, nearness: 2 };
    if (result && "site" in result) located.push({ draft: result, scope, where });
    else if (result) misses.push({ node: node.name === "" ? (node.output[0] ?? "") : node.name, ...result });
    for (const { graph: body } of subgraphsOf(node)) {
      scan(
        body,
        opset,
        scope,
        node.opType === "If" ? "if-branch" : `${node.opType.toLowerCase()}-body`,
        located,
        misses,
      );
    }
  }
}

/** An attention operator that is still whole. */
function fused(node: NodeProto): Refusal | null {
  const reason = fusedReason(operatorOf(node));
  return reason === null ? null : { reason, nearness: 4 };
}
