/** Local functions that call themselves or that grow beyond all bounds once they are inlined. */
import { AtPatchError } from "../shared/errors.ts";
import type { FunctionProto, ModelProto, NodeProto } from "./model.ts";
import { allNodes, isStandard } from "./walk.ts";

/** Nodes a model may have once its functions are inlined. */
export const maxInlinedNodes = 500_000;
/** Calls inside each other, as onnx's own checker allows. */
export const maxCallDepth = 100;

/** Key a call and its function share; overloads are distinct functions. */
export function functionKey(domain: string, name: string, overload: string): string {
  return JSON.stringify([isStandard(domain) ? "" : domain, name, overload]);
}

/** The function a node calls, if its operator is a local function of the model. */
export function calledFunction(
  node: NodeProto,
  functions: ReadonlyMap<string, FunctionProto>,
): FunctionProto | undefined {
  return functions.get(functionKey(node.domain, node.opType, node.overload));
}

/** Local functions by key; the first of several with the same key counts. */
export function functionsOf(model: ModelProto): ReadonlyMap<string, FunctionProto> {
  const functions = new Map<string, FunctionProto>();
  for (const body of model.functions) {
    const key = functionKey(body.domain, body.name, body.overload);
    if (!functions.has(key)) functions.set(key, body);
  }
  return functions;
}

/**
 * Linear in the size of the file: every function is measured once, however often it is called.
 * @throws AtPatchError ATPATCH_BAD_MODEL naming the function
 */
export function checkFunctions(model: ModelProto): void {
  const functions = functionsOf(model);
  const measured = new Map<FunctionProto, { nodes: number; depth: number }>();
  const open = new Set<FunctionProto>();

  const measure = (body: FunctionProto): { nodes: number; depth: number } => {
    const known = measured.get(body);
    if (known) return known;
    if (open.has(body)) throw bad(`the local function "${body.name}" calls itself`);
    if (open.size >= maxCallDepth)
      throw bad(`local functions call each other more than ${maxCallDepth} deep`);
    open.add(body);
    const size = total(allNodes(body));
    open.delete(body);
    measured.set(body, size);
    return size;
  };
  const total = (nodes: Iterable<NodeProto>): { nodes: number; depth: number } => {
    let [count, depth] = [0, 0];
    for (const node of nodes) {
      const called = calledFunction(node, functions);
      const inner = called ? measure(called) : { nodes: 1, depth: 0 };
      count += inner.nodes;
      depth = Math.max(depth, inner.depth + (called ? 1 : 0));
      if (count > maxInlinedNodes)
        throw bad(`with its local functions inlined it has more than ${maxInlinedNodes} nodes`);
    }
    return { nodes: count, depth };
  };

  for (const body of functions.values()) measure(body);
  if (model.graph) total(allNodes(model.graph));
}

function bad(what: string): AtPatchError {
  return new AtPatchError("ATPATCH_BAD_MODEL", `the model cannot be used: ${what}`);
}
