/** Puts the bodies of local functions in the place of their calls, as the runtime does when it loads a model. */
import { clone, create } from "@bufbuild/protobuf";
import { calledFunction, functionsOf } from "./check-functions.ts";
import { FreshNames } from "./fresh-names.ts";
import { AttributeProtoSchema, NodeProtoSchema, OperatorSetIdProtoSchema } from "./generated/onnx_pb.ts";
import {
  node,
  type AttributeProto,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
} from "./model.ts";
import { allNodes, isStandard, subgraphsOf } from "./walk.ts";

/**
 * Changes the model in place. Bodies are read at the opset of the model, whatever the function says: so does the runtime.
 * @param keep functions left alone, by domain
 * @returns the nodes that come from functions
 */
export function inlineFunctions(
  model: ModelProto,
  keep: ReadonlySet<string> = new Set(),
): ReadonlySet<NodeProto> {
  const functions = new Map([...functionsOf(model)].filter(([, body]) => !keep.has(body.domain)));
  const inlined = new Set<NodeProto>();
  if (functions.size === 0 || !model.graph) return inlined;
  const names = new FreshNames(model);

  const expand = (nodes: readonly NodeProto[], inside: boolean): NodeProto[] =>
    nodes.flatMap((each) => {
      const body = calledFunction(each, functions);
      if (body) return expand(bodyOf(each, body, names), true);
      if (inside) inlined.add(each);
      for (const { graph } of subgraphsOf(each)) graph.node = expand(graph.node, inside);
      return [each];
    });
  model.graph.node = expand(model.graph.node, false);

  for (const body of functions.values()) importDomains(model, body);
  model.functions = model.functions.filter(({ domain }) => keep.has(domain));
  return inlined;
}

/** The nodes of a body with the tensors and attributes of one call. */
function bodyOf(call: NodeProto, body: FunctionProto, names: FreshNames): NodeProto[] {
  const prefix = call.name === "" ? body.name : call.name;
  const renamed = new Map<string, string>([["", ""]]);
  body.input.forEach((name, i) => renamed.set(name, call.input[i] ?? ""));
  // An output that is an input, or is made twice over by the call, needs a node of its own.
  const handedOn = body.output.flatMap((name, i) => {
    const as = call.output[i] ?? "";
    if (as === "") return [];
    if (!renamed.has(name)) {
      renamed.set(name, as);
      return [];
    }
    return [
      node("Identity", [renamed.get(name) ?? ""], [as], {}, { name: names.take(`${prefix}/Identity`) }),
    ];
  });
  const own = (name: string): void => {
    if (!renamed.has(name)) renamed.set(name, names.take(`${prefix}/${name}`));
  };
  for (const inner of allNodes(body)) {
    inner.output.forEach(own);
    for (const { graph } of subgraphsOf(inner)) {
      for (const { name } of [...graph.input, ...graph.initializer]) own(name);
    }
  }
  const attributes = new Map(body.attributeProto.map((attribute) => [attribute.name, attribute]));
  for (const attribute of call.attribute) attributes.set(attribute.name, attribute);

  const rename = (name: string): string => renamed.get(name) ?? name;
  const rewrite = (inner: NodeProto): NodeProto => {
    inner.name = names.take(`${prefix}/${inner.name === "" ? inner.opType : inner.name}`);
    inner.input = inner.input.map(rename);
    inner.output = inner.output.map(rename);
    inner.attribute = inner.attribute.flatMap((attribute) => resolve(attribute, attributes));
    for (const { graph } of subgraphsOf(inner)) rewriteGraph(graph);
    return inner;
  };
  const rewriteGraph = (graph: GraphProto): void => {
    for (const info of [...graph.input, ...graph.output, ...graph.initializer, ...graph.valueInfo])
      info.name = rename(info.name);
    graph.node.forEach(rewrite);
  };
  return [...body.node.map((inner) => rewrite(clone(NodeProtoSchema, inner))), ...handedOn];
}

/** An attribute of a body that refers to one of the call; absent when the call does not give it. */
function resolve(attribute: AttributeProto, given: ReadonlyMap<string, AttributeProto>): AttributeProto[] {
  if (attribute.refAttrName === "") return [attribute];
  const found = given.get(attribute.refAttrName);
  return found ? [{ ...clone(AttributeProtoSchema, found), name: attribute.name, refAttrName: "" }] : [];
}

/** The model must import what the bodies used. */
function importDomains(model: ModelProto, { opsetImport }: FunctionProto): void {
  const known = new Set(model.opsetImport.map(({ domain }) => (isStandard(domain) ? "" : domain)));
  for (const { domain, version } of opsetImport) {
    if (isStandard(domain) || known.has(domain)) continue;
    known.add(domain);
    model.opsetImport.push(create(OperatorSetIdProtoSchema, { domain, version }));
  }
}
