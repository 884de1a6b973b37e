/** What lies behind a tensor without passing a product of two activations: its own sequence, not what it attended to. */
import type { NodeProto } from "../onnx/model.ts";
import type { Scope } from "./scope.ts";

export interface Stream {
  /** Tensors behind the start, itself included. */
  readonly tensors: ReadonlySet<string>;
  /** Products of two activations at which the walk stopped. */
  readonly products: ReadonlySet<NodeProto>;
}

export function streamBehind(scope: Scope, start: string): Stream {
  const tensors = new Set<string>();
  const products = new Set<NodeProto>();
  const open = [start];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (tensors.has(name) || !scope.isData(name)) continue;
    tensors.add(name);
    const maker = scope.index.maker(name)?.node;
    if (!maker) continue;
    if (scope.isDataProduct(maker)) products.add(maker);
    else open.push(...maker.input.filter((input) => input !== ""));
  }
  return { tensors, products };
}
