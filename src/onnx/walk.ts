/** Walks over every graph of a model: the main graph, the bodies of its nodes, and the bodies of local functions. */
import {
  AttributeType,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
} from "./model.ts";

/** Graphs a node carries as attributes, in order; `attribute` names each. */
export function subgraphsOf(node: NodeProto): { readonly attribute: string; readonly graph: GraphProto }[] {
  return node.attribute.flatMap(({ name, type, g, graphs }) => {
    if (type === AttributeType.GRAPH && g) return [{ attribute: name, graph: g }];
    return type === AttributeType.GRAPHS ? graphs.map((graph) => ({ attribute: name, graph })) : [];
  });
}

/** All nodes below a graph or function, bodies included, outer nodes before their bodies. */
export function* allNodes(of: Pick<GraphProto | FunctionProto, "node">): Generator<NodeProto> {
  for (const node of of.node) {
    yield node;
    for (const { graph } of subgraphsOf(node)) yield* allNodes(graph);
  }
}

/** All graphs below a graph, itself first. */
export function* allGraphs(graph: GraphProto): Generator<GraphProto> {
  yield graph;
  for (const node of graph.node) for (const { graph: inner } of subgraphsOf(node)) yield* allGraphs(inner);
}

/** Every graph of the model; function bodies contribute the graphs inside their nodes. */
export function* graphsOf(model: ModelProto): Generator<GraphProto> {
  if (model.graph) yield* allGraphs(model.graph);
  for (const body of model.functions) {
    for (const node of body.node) for (const { graph } of subgraphsOf(node)) yield* allGraphs(graph);
  }
}

/** "ai.onnx" and "" are the same domain; everything else is itself. */
export function isStandard(domain: string): boolean {
  return domain === "" || domain === "ai.onnx";
}

/** How messages name a node: its name, else its operator and first output. */
export function nodeLabel(node: NodeProto): string {
  return node.name === "" ? `${node.opType} making "${node.output[0] ?? ""}"` : `"${node.name}"`;
}
