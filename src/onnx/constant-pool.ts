/** Constants of an emitter and its branches: they stand in the outermost graph, which every branch can read. */
import { DataType, floatTensor, int32Tensor, int64Tensor, node, type NodeProto } from "./model.ts";

const makers = {
  [DataType.FLOAT]: floatTensor,
  [DataType.INT64]: int64Tensor,
  [DataType.INT32]: int32Tensor,
} as const;

/** Element types of constants. */
export type ConstantType = keyof typeof makers;

/** One node for each value. */
export class ConstantPool {
  readonly #names = new Map<string, string>();
  readonly #nodes: NodeProto[];
  readonly #opset: number;

  /** @param nodes receives the constants */
  constructor(nodes: NodeProto[], opset: number) {
    this.#nodes = nodes;
    this.#opset = opset;
  }

  /**
   * Name of a constant; scalar when one number is given.
   * @param fresh names a constant that is new
   */
  take(type: ConstantType, value: number | readonly number[], fresh: () => string): string {
    const [dims, values] = typeof value === "number" ? [[], [value]] : [[value.length], value];
    const key = [type, dims, ...values.map((x) => (Object.is(x, -0) ? "-0" : x))].join(" ");
    const known = this.#names.get(key);
    if (known !== undefined) return known;
    const output = fresh();
    // Constants are floats before opset 9.
    const given = this.#opset < 9 ? DataType.FLOAT : type;
    const constant = given === type ? output : fresh();
    const tensor = makers[given]("", dims, values);
    this.#nodes.push(node("Constant", [], [constant], { value: tensor }, { name: constant }));
    if (given !== type) this.#nodes.push(node("Cast", [constant], [output], { to: type }, { name: output }));
    this.#names.set(key, output);
    return output;
  }
}
