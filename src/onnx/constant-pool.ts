/** Constants of an emitter and its branches: they stand in the outermost graph, which every branch can read. */
import { node, type NodeProto, type TensorProto } from "./model.ts";

/** Makes a tensor of one element type. */
export type MakeTensor = (name: string, dims: readonly number[], values: readonly number[]) => TensorProto;

/** One node for each value. */
export class ConstantPool {
  readonly #names = new Map<string, string>();
  readonly #nodes: NodeProto[];

  /** @param nodes receives the constants */
  constructor(nodes: NodeProto[]) {
    this.#nodes = nodes;
  }

  /**
   * Name of a constant; scalar when one number is given.
   * @param kind tells the makers apart
   * @param fresh names a constant that is new
   */
  take(kind: string, value: number | readonly number[], make: MakeTensor, fresh: () => string): string {
    const [dims, values] = typeof value === "number" ? [[], [value]] : [[value.length], value];
    const key = [kind, dims, ...values.map((x) => (Object.is(x, -0) ? "-0" : x))].join(" ");
    const known = this.#names.get(key);
    if (known !== undefined) return known;
    const output = fresh();
    this.#nodes.push(node("Constant", [], [output], { value: make("", dims, values) }, { name: output }));
    this.#names.set(key, output);
    return output;
  }
}
