/** Topological order of a graph's nodes after an edit. */
import { AtPatchError } from "../shared/errors.ts";
import { AttributeType, type GraphProto, type NodeProto } from "./model.ts";

/** Tensor names a node reads, those its subgraphs take from outside included. */
export function namesRead(of: NodeProto): Set<string> {
  const names = new Set(of.input.filter((name) => name !== ""));
  for (const attribute of of.attribute) {
    const graphs = attribute.type === AttributeType.GRAPH && attribute.g ? [attribute.g] : attribute.graphs;
    for (const graph of graphs) for (const name of namesCaptured(graph)) names.add(name);
  }
  return names;
}

/** Names a subgraph reads from the graphs around it. */
export function namesCaptured(graph: GraphProto): Set<string> {
  const own = new Set([
    ...graph.input.map((input) => input.name),
    ...graph.initializer.map((initializer) => initializer.name),
    ...graph.node.flatMap((inner) => inner.output),
  ]);
  const read = new Set(graph.output.map((output) => output.name));
  for (const inner of graph.node) for (const name of namesRead(inner)) read.add(name);
  return new Set([...read].filter((name) => !own.has(name)));
}

/**
 * The nodes in an order in which every tensor is made before it is read; nodes keep their relative order where they can.
 * @throws AtPatchError ATPATCH_BAD_MODEL when the graph has a cycle
 */
export function sortNodes(nodes: readonly NodeProto[]): NodeProto[] {
  const maker = new Map<string, number>();
  nodes.forEach((candidate, i) => candidate.output.forEach((name) => name !== "" && maker.set(name, i)));
  const needs = nodes.map((candidate) => [...namesRead(candidate)].flatMap((name) => maker.get(name) ?? []));
  const state = new Uint8Array(nodes.length); // 0 new, 1 open, 2 placed
  const sorted: NodeProto[] = [];
  for (let root = 0; root < nodes.length; root++) {
    const stack = [root];
    while (stack.length > 0) {
      const i = stack.at(-1) as number;
      const current = nodes[i];
      if (state[i] === 2 || current === undefined) {
        stack.pop();
        continue;
      }
      const open = (needs[i] ?? []).filter((need) => state[need] !== 2);
      if (state[i] === 1 && open.some((need) => state[need] === 1)) {
        throw new AtPatchError(
          "ATPATCH_BAD_MODEL",
          `the graph has a cycle through node "${current.name || current.output[0]}"`,
        );
      }
      state[i] = 1;
      if (open.length === 0) {
        state[i] = 2;
        sorted.push(current);
        stack.pop();
      } else stack.push(...open.toReversed());
    }
  }
  return sorted;
}
