/** Axes, origins and small integer values of every tensor of a graph. */
import { operatorOf } from "../contraction.ts";
import { GraphIndex } from "../graph-index.ts";
import type { NodeProto, ValueInfoProto } from "../model.ts";
import { subgraphsOf } from "../walk.ts";
import { AtomTable, type Axis } from "./atom.ts";
import { computeRule, contractionRule } from "./compute-rules.ts";
import { elementwiseRule } from "./elementwise-rules.ts";
import { integersMade, integersOf } from "./integers.ts";
import { layoutRules } from "./layout-rules.ts";
import { origins, type Origin, type RuleContext } from "./rule.ts";
import type { IntTensor } from "./size.ts";

interface Facts {
  readonly axes: readonly Axis[] | null;
  readonly origin: Origin;
  readonly ints: IntTensor | null;
}

const unknown: Facts = { axes: null, origin: origins.data, ints: null };

/** What is known of the tensors of one graph; the body of an If or Loop sees those of the graphs around it. */
export class GraphAxes {
  readonly index: GraphIndex;
  readonly opset: number;
  readonly table: AtomTable;
  readonly #outer: GraphAxes | null;
  readonly #facts = new Map<string, Facts>();

  /** @param outer facts about the graph around this one */
  constructor(index: GraphIndex, opset: number, outer: GraphAxes | null = null) {
    this.index = index;
    this.opset = opset;
    this.#outer = outer;
    this.table = outer?.table ?? new AtomTable();
    const { graph } = index;
    for (const input of graph.input) {
      if (!index.input(input.name)) continue;
      this.#facts.set(input.name, {
        axes: this.#declared(input, input.name),
        origin: origins.data,
        ints: null,
      });
    }
    for (const tensor of graph.initializer) {
      const axes = tensor.dims.map((dim, i) => this.table.axis(`${tensor.name}#${i}`, Number(dim), true));
      this.#facts.set(tensor.name, { axes, origin: origins.constant, ints: integersOf(tensor) });
    }
    for (const node of graph.node) this.#visit(node);
  }

  axes(name: string): readonly Axis[] | null {
    return this.#lookup(name).axes;
  }

  rank(name: string): number | null {
    return this.axes(name)?.length ?? null;
  }

  origin(name: string): Origin {
    return this.#lookup(name).origin;
  }

  ints(name: string): IntTensor | null {
    return this.#lookup(name).ints;
  }

  /**
   * Axes a node's outputs would have if some of its inputs had other axes: marks put on an input are followed this way.
   */
  through(
    node: NodeProto,
    instead: ReadonlyMap<string, readonly Axis[]>,
  ): readonly (readonly Axis[] | null)[] {
    return apply(this.contextOf(node, instead)) ?? node.output.map(() => null);
  }

  #lookup(name: string): Facts {
    const found = this.#facts.get(name);
    if (found) return found;
    return this.#outer ? this.#outer.#lookup(name) : unknown;
  }

  #visit(node: NodeProto): void {
    const context = this.contextOf(node);
    const made = apply(context) ?? this.#fromBranch(node);
    const origin = this.#originOf(node);
    node.output.forEach((name, i) => {
      if (name === "") return;
      const axes = made?.[i] ?? this.#declaredInside(name);
      this.#facts.set(name, { axes, origin, ints: i === 0 ? integersMade(context) : null });
    });
  }

  /** What the rules may know about a node. */
  contextOf(node: NodeProto, instead?: ReadonlyMap<string, readonly Axis[]>): RuleContext {
    const name = (input: number): string => node.input[input] ?? "";
    return {
      node,
      opset: this.opset,
      table: this.table,
      axes: (input) => (name(input) === "" ? null : (instead?.get(name(input)) ?? this.axes(name(input)))),
      origin: (input) => (name(input) === "" ? origins.constant : this.origin(name(input))),
      ints: (input) => (name(input) === "" ? null : this.ints(name(input))),
    };
  }

  #originOf(node: NodeProto): Origin {
    if (subgraphsOf(node).length > 0) return origins.data;
    const inputs = node.input.filter((name) => name !== "").map((name) => this.origin(name));
    const highest = inputs.reduce<Origin>((a, b) => (b > a ? b : a), origins.constant);
    const readsSizesOnly = node.opType === "Shape" || node.opType === "Size";
    return readsSizesOnly && highest === origins.data ? origins.sizes : highest;
  }

  /** An If hands on what its branches return; the first branch with known axes tells. */
  #fromBranch(node: NodeProto): (readonly Axis[] | null)[] | null {
    if (node.opType !== "If") return null;
    const branches = subgraphsOf(node).map(({ graph }) => {
      const inner = new GraphAxes(new GraphIndex(graph, this.index), this.opset, this);
      return graph.output.map(({ name }) => inner.axes(name));
    });
    return node.output.map(
      (_, i) => branches.map((branch) => branch[i] ?? null).find((axes) => axes !== null) ?? null,
    );
  }

  #declaredInside(name: string): readonly Axis[] | null {
    const info = this.index.valueInfo(name);
    return info ? this.#declared(info, name) : null;
  }

  /** Axes as the file declares them. Dimensions of one name have one length, but need not be the same axis. */
  #declared(info: ValueInfoProto, name: string): readonly Axis[] | null {
    const type = info.type?.value;
    const shape = type?.case === "tensorType" ? type.value.shape : undefined;
    return (
      shape?.dim.map(({ value }, i) => {
        const size = value.case === "dimValue" ? Number(value.value) : null;
        const id = `${name}#${i}`;
        const length = value.case === "dimParam" && value.value !== "" ? `dimension ${value.value}` : id;
        return this.table.axis(id, size !== null && size > 0 ? size : null, false, length);
      }) ?? null
    );
  }
}

function apply(context: RuleContext): readonly (readonly Axis[] | null)[] | null {
  const rule = elementwiseRule(context) ?? layoutRules[operatorOf(context.node)] ?? computeRule(context);
  return rule ? rule(context) : (contractionRule(context) ?? null);
}
