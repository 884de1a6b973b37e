/** What a rule may know about the node whose result axes it tells. */
import type { NodeProto } from "../model.ts";
import { intAttribute, intsAttribute } from "../model.ts";
import type { AtomTable, Axis } from "./atom.ts";
import { plainItems, type IntTensor } from "./size.ts";

/** Where the values of a tensor come from: constants only, sizes only, or the content of an input. */
export const origins = { constant: 0, sizes: 1, data: 2 } as const;
export type Origin = (typeof origins)[keyof typeof origins];

export interface RuleContext {
  readonly node: NodeProto;
  readonly opset: number;
  readonly table: AtomTable;
  /** Axes of an input; null when it is absent or unknown. */
  axes(input: number): readonly Axis[] | null;
  origin(input: number): Origin;
  /** Values of a small integer input; null when unknown. */
  ints(input: number): IntTensor | null;
}

/** Axes of each output; null where unknown. */
export type Rule = (context: RuleContext) => readonly (readonly Axis[] | null)[];

/** An axis that starts at this node. The name is the node's own, so every run of the rule gives the same atom. */
export function freshAxis(context: RuleContext, hint: string, size: number | null): Axis {
  const { node, table } = context;
  return table.axis(`${node.output[0] ?? node.name}#${hint}`, size, inputsAreConstant(context));
}

function inputsAreConstant(context: RuleContext): boolean {
  return context.node.input.every((name, i) => name === "" || context.origin(i) !== origins.data);
}

/** An axis attribute or number counted from the front; null when out of range. */
export function fromFront(axis: number, rank: number): number | null {
  const front = axis < 0 ? axis + rank : axis;
  return front >= 0 && front < rank ? front : null;
}

/** The `axis` attribute counted from the front. */
export function axisAttribute(context: RuleContext, rank: number, fallback: number): number | null {
  return fromFront(intAttribute(context.node, "axis", fallback), rank);
}

/**
 * Axes of an elementwise result. Where operands disagree, data come before sizes and constants, then whatever was made first.
 * An operand of unknown rank is taken to broadcast into the others.
 */
export function broadcastAxes(
  operands: readonly { axes: readonly Axis[] | null; origin: Origin }[],
): Axis[] | null {
  const known = operands.flatMap(({ axes, origin }) => (axes ? [{ axes, origin }] : []));
  if (known.length === 0) return null;
  const rank = Math.max(...known.map(({ axes }) => axes.length));
  return Array.from({ length: rank }, (_, i) => {
    const candidates = known.flatMap(({ axes, origin }) => {
      const axis = axes[i - rank + axes.length];
      if (!axis || axis.length === 0) return [];
      const made = axis.map(({ priority }) => priority);
      return [{ axis, origin, first: Math.min(...made), last: Math.max(...made) }];
    });
    candidates.sort(
      (a, b) =>
        (a.first < 0 || b.first < 0 ? 0 : b.origin - a.origin) || a.first - b.first || a.last - b.last,
    );
    return candidates[0]?.axis ?? [];
  });
}

/** Axes given as an input (newer opsets) or as an attribute; null when unknown, undefined when absent. */
export function axesArgument(c: RuleContext, input: number, rank: number): number[] | null | undefined {
  const attribute = intsAttribute(c.node, "axes");
  if (!attribute && (c.node.input[input] ?? "") === "") return undefined;
  const axes = attribute ?? plainItems(c.ints(input));
  const front = axes?.map((axis) => fromFront(axis, rank));
  return front?.every((axis) => axis !== null) ? front : null;
}
