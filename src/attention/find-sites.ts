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

/** What is known of a node from before fused operators were written out and functions inlined. */
export interface Origin {
  /** Form and node name a site inside a fused operator goes by. */
  readonly form?: string;
  readonly node?: string;
  readonly where?: string;
  /** Why a fused operator was left as it is. */
  readonly refused?: string;
}

/**
 * A site is a softmax whose scores are a product of two activations and whose weights meet a third one in a product over
 * the axis they sum to one over. Sites come in execution order, those of an If where the If stands, its then branch first.
 * @param model a valid model whose fused operators are expanded and whose local functions are inlined
 */
export function findSites(model: ModelProto, originOf: (node: NodeProto) => Origin = () => ({})): ScanResult {
  const located: Located[] = [];
  const misses: (NearMiss & Refusal)[] = [];
  const scan: Scan = { opset: opsetOf(model), originOf, located, misses };
  if (model.graph) scanGraph(scan, model.graph, null, "main");
  misses.sort((a, b) => b.nearness - a.nearness);
  return {
    sites: numberSites(located),
    nearMisses: misses.map(({ node, reason }) => ({ node, reason })),
  };
}

interface Scan {
  readonly opset: number;
  readonly originOf: (node: NodeProto) => Origin;
  readonly located: Located[];
  readonly misses: (NearMiss & Refusal)[];
}

function scanGraph(scan: Scan, graph: GraphProto, outer: Scope | null, where: string): void {
  const scope = new Scope(graph, scan.opset, outer);
  const candidates = new Map(
    normalisationsOf(scope).map((candidate) => [
      "found" in candidate ? candidate.found.node : candidate.node,
      candidate,
    ]),
  );
  for (const node of graph.node) {
    const candidate = candidates.get(node);
    const { refused, ...origin } = scan.originOf(node);
    const result: Draft | Refusal | null = !candidate
      ? fused(node, refused)
      : "found" in candidate
        ? examine(scope, candidate.found)
        : { reason: candidate.reason, nearness: 2 };
    const label = origin.node ?? (node.name === "" ? (node.output[0] ?? "") : node.name);
    if (result && "site" in result) {
      const draft = {
        ...result,
        site: { ...result.site, form: origin.form ?? result.site.form, node: label },
      };
      scan.located.push({ draft, scope, where: origin.where ?? where });
    } else if (result) scan.misses.push({ node: label, ...result });
    for (const { attribute, graph: body } of branchesOf(node)) {
      scanGraph(
        scan,
        body,
        scope,
        attribute.endsWith("branch") ? "if-branch" : `${node.opType.toLowerCase()}-body`,
      );
    }
  }
}

/** Graphs inside a node; of an If, the then branch first, in whatever order the file has them. */
function branchesOf(node: NodeProto): ReturnType<typeof subgraphsOf> {
  return subgraphsOf(node).toSorted((a, b) =>
    a.attribute < b.attribute ? 1 : a.attribute > b.attribute ? -1 : 0,
  );
}

/** An attention operator that is still whole. */
function fused(node: NodeProto, refused: string | undefined): Refusal | null {
  const operator = operatorOf(node);
  const reason = refused === undefined ? fusedReason(operator) : `${operator} cannot be patched: ${refused}`;
  return reason === null ? null : { reason, nearness: 4 };
}
