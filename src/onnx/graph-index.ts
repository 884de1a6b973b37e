/** Who makes and who reads each tensor of one graph. */
import type { GraphProto, NodeProto, TensorProto, ValueInfoProto } from "./model.ts";
import { namesRead } from "./sort-nodes.ts";

/** A place where a node reads a tensor: `node.input[input]`. */
export interface TensorReader {
  readonly node: NodeProto;
  readonly input: number;
}

/** A place where a node makes a tensor: `node.output[output]`. */
export interface TensorMaker {
  readonly node: NodeProto;
  readonly output: number;
}

/**
 * Index of a graph as it is when the index is made; edits afterwards are not seen. Names are looked up in the graph
 * itself first and then, for the body of an If or Loop, in the graphs around it.
 */
export class GraphIndex {
  readonly graph: GraphProto;
  readonly outer: GraphIndex | null;
  readonly #makers = new Map<string, TensorMaker>();
  readonly #readers = new Map<string, TensorReader[]>();
  readonly #captured = new Set<string>();
  readonly #position = new Map<NodeProto, number>();
  readonly #initializers = new Map<string, TensorProto>();
  readonly #inputs = new Map<string, ValueInfoProto>();
  readonly #outputs: ReadonlySet<string>;
  readonly #valueInfo = new Map<string, ValueInfoProto>();

  constructor(graph: GraphProto, outer: GraphIndex | null = null) {
    this.graph = graph;
    this.outer = outer;
    graph.node.forEach((node, position) => {
      this.#position.set(node, position);
      node.output.forEach((name, output) => {
        if (name !== "") this.#makers.set(name, { node, output });
      });
      node.input.forEach((name, input) => {
        if (name === "") return;
        const readers = this.#readers.get(name);
        if (readers) readers.push({ node, input });
        else this.#readers.set(name, [{ node, input }]);
      });
      for (const name of namesRead(node)) if (!node.input.includes(name)) this.#captured.add(name);
    });
    for (const initializer of graph.initializer) this.#initializers.set(initializer.name, initializer);
    for (const input of graph.input) this.#inputs.set(input.name, input);
    for (const info of [...graph.valueInfo, ...graph.output]) this.#valueInfo.set(info.name, info);
    this.#outputs = new Set(graph.output.map((output) => output.name));
  }

  /** The node of this graph (not of the graphs around it) that makes the tensor. */
  maker(name: string): TensorMaker | undefined {
    return this.#makers.get(name);
  }

  /** Every place in this graph where a node reads the tensor, in node order; bodies of nodes are not listed. */
  readers(name: string): readonly TensorReader[] {
    return this.#readers.get(name) ?? [];
  }

  /** Whether the body of some node of this graph reads the tensor. */
  isCaptured(name: string): boolean {
    return this.#captured.has(name);
  }

  /** The constant of that name, of this graph or one around it. */
  initializer(name: string): TensorProto | undefined {
    if (this.#initializers.has(name)) return this.#initializers.get(name);
    return this.#makers.has(name) || this.#inputs.has(name) ? undefined : this.outer?.initializer(name);
  }

  /** The graph input of that name; an initializer listed among the inputs too is a constant and no input. */
  input(name: string): ValueInfoProto | undefined {
    return this.#initializers.has(name) ? undefined : this.#inputs.get(name);
  }

  isOutput(name: string): boolean {
    return this.#outputs.has(name);
  }

  /** What the file says about an inner tensor or an output. */
  valueInfo(name: string): ValueInfoProto | undefined {
    return this.#valueInfo.get(name);
  }

  /** Position of a node in execution order; -1 when it is not of this graph. */
  position(node: NodeProto): number {
    return this.#position.get(node) ?? -1;
  }

  /** Whether the graph itself makes, holds or takes the tensor. */
  owns(name: string): boolean {
    return this.#makers.has(name) || this.#initializers.has(name) || this.#inputs.has(name);
  }
}
