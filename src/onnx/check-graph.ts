/** Whether every tensor a graph reads is made somewhere, once, and without going round in circles. */
import { AtPatchError } from "../shared/errors.ts";
import type { FunctionProto, GraphProto, NodeProto } from "./model.ts";
import { sortNodes } from "./sort-nodes.ts";
import { nodeLabel, subgraphsOf } from "./walk.ts";

/**
 * @param outer names visible from around the graph
 * @throws AtPatchError ATPATCH_BAD_MODEL naming the node and the tensor
 */
export function checkGraph(graph: GraphProto, outer: ReadonlySet<string> = new Set()): void {
  const given = [
    ...graph.input.map(({ name }) => name),
    ...graph.initializer.map(({ name }) => name),
    ...graph.sparseInitializer.flatMap(({ values }) => (values ? [values.name] : [])),
  ];
  checkNodes(
    graph.node,
    new Set([...outer, ...given]),
    graph.output.map(({ name }) => name),
  );
}

/** The same for the body of a local function, which sees nothing but its inputs. */
export function checkFunctionBody(body: FunctionProto): void {
  checkNodes(body.node, new Set(body.input), body.output);
}

function checkNodes(
  nodes: readonly NodeProto[],
  given: ReadonlySet<string>,
  outputs: readonly string[],
): void {
  const made = new Set<string>();
  for (const node of nodes) {
    for (const name of node.output) {
      if (name === "") continue;
      if (made.has(name)) throw bad(`two nodes make the tensor "${name}"`);
      made.add(name);
    }
  }
  const visible = new Set([...given, ...made]);
  for (const node of nodes) {
    for (const name of node.input) {
      if (name !== "" && !visible.has(name))
        throw bad(`node ${nodeLabel(node)} reads the tensor "${name}", which nothing makes`);
    }
    for (const { graph } of subgraphsOf(node)) checkGraph(graph, visible);
  }
  for (const name of outputs) {
    if (!visible.has(name)) throw bad(`the output "${name}" is made by nothing`);
  }
  sortNodes(nodes);
}

function bad(what: string): AtPatchError {
  return new AtPatchError("ATPATCH_BAD_MODEL", `the graph is broken: ${what}`);
}
