/** Operators that move, merge, join or repeat axes. */
import { findAttribute, intAttribute, intsAttribute } from "../model.ts";
import { axisKey, axisSize, sameAxis, type Axis } from "./atom.ts";
import { cutRules } from "./cut-rules.ts";
import { reshapeAxes } from "./reshape.ts";
import {
  axesArgument,
  axisAttribute,
  broadcastAxes,
  freshAxis,
  origins,
  type Rule,
  type RuleContext,
} from "./rule.ts";
import { plain, type Size } from "./size.ts";

const transpose: Rule = (c) => {
  const axes = c.axes(0);
  const order = intsAttribute(c.node, "perm") ?? axes?.map((_, i) => axes.length - 1 - i);
  return [axes && order ? order.map((from) => axes[from] ?? []) : null];
};

const reshape: Rule = (c) => {
  const axes = c.axes(0);
  const target = reshapeTarget(c);
  if (!target) return [null];
  const fresh = (i: number, size: number | null): Axis => freshAxis(c, `${i}`, size);
  if (!axes) return [target.map((size, i) => fresh(i, positive(plain(size))))];
  return [reshapeAxes(c.table, axes, target, intAttribute(c.node, "allowzero", 0) !== 0, fresh)];
};

const positive = (size: number | null): number | null => (size !== null && size > 0 ? size : null);

/** The target's items; when only its length is known, as many unknown ones. */
function reshapeTarget(c: RuleContext): readonly (Size | null)[] | null {
  const attribute = intsAttribute(c.node, "shape");
  if (attribute) return attribute.map((factor) => ({ factor, atoms: [] }));
  const items = c.ints(1)?.items;
  if (items) return items;
  const length = axisSize(
    c.axes(1)?.[0] ?? [
      { id: "?", length: "?", size: null, priority: 0, constant: true, label: null, half: null },
    ],
  );
  return length === null ? null : Array.from({ length }, () => null);
}

const unsqueeze: Rule = (c) => {
  const axes = c.axes(0);
  const count = intsAttribute(c.node, "axes")?.length ?? c.ints(1)?.items.length;
  const inserted = axes && count !== undefined ? axesArgument(c, 1, axes.length + count) : null;
  if (!axes || !inserted) return [null];
  const rest = [...axes];
  return [
    Array.from({ length: axes.length + inserted.length }, (_, i) =>
      inserted.includes(i) ? [] : (rest.shift() ?? []),
    ),
  ];
};

const squeeze: Rule = (c) => {
  const axes = c.axes(0);
  const removed = axes ? axesArgument(c, 1, axes.length) : null;
  if (!axes || removed === null) return [null];
  return [axes.filter((axis, i) => (removed ? !removed.includes(i) : axis.length > 0))];
};

const flatten: Rule = (c) => {
  const axes = c.axes(0);
  const at = axes ? (intAttribute(c.node, "axis", 1) + axes.length) % Math.max(1, axes.length) : 0;
  const cut = intAttribute(c.node, "axis", 1) === axes?.length ? axes.length : at;
  return [axes && [c.table.join(axes.slice(0, cut).flat()), c.table.join(axes.slice(cut).flat())]];
};

const concat: Rule = (c) => {
  const parts = c.node.input.map((_, i) => c.axes(i));
  const known = parts.flatMap((axes, i) => (axes ? [{ axes, origin: c.origin(i) }] : []));
  const rank = known[0]?.axes.length;
  const at = rank === undefined ? null : axisAttribute(c, rank, 0);
  if (rank === undefined || at === null) return [null];
  const pieces = parts.map((axes) => axes?.[at] ?? null);
  const sizes = pieces.map((piece) => piece && axisSize(piece));
  const size = sizes.reduce<number | null>((sum, s) => (sum === null || s === null ? null : sum + s), 0);
  const name = pieces.every((piece) => piece !== null)
    ? `concat(${pieces.map(axisKey).join(",")})`
    : `${c.node.output[0]}#${at}`;
  const constant = pieces.every(
    (piece, i) => c.origin(i) !== origins.data || piece?.every((atom) => atom.constant),
  );
  const [piece] = pieces;
  // Copies of one axis behind each other are that axis inside a new one: heads cut from the features and stacked on the batch.
  const stacked = piece && piece.length > 0 && pieces.every((other) => other && sameAxis(piece, other));
  const joined = stacked
    ? [...c.table.axis(`${pieces.length} copies`, pieces.length, true), ...piece]
    : c.table.axis(name, size, constant);
  return [broadcastAxes(known)?.map((axis, i) => (i === at ? joined : axis)) ?? null];
};

const expand: Rule = (c) => {
  const axes = c.axes(0);
  const target = reshapeTarget(c);
  if (!axes || !target) return [null];
  const rank = Math.max(axes.length, target.length);
  return [
    Array.from({ length: rank }, (_, i) => {
      const own = axes[i - rank + axes.length] ?? [];
      const size = target[i - rank + target.length];
      if (own.length > 0 || size === undefined) return own;
      if (size?.factor === 1 && size.atoms.length > 0) return size.atoms;
      const known = plain(size);
      return known !== null && known <= 1
        ? []
        : c.table.axis(known === null ? `${c.node.output[0]}#${i}` : `repeat ${known}`, known, true);
    }),
  ];
};

const tile: Rule = (c) => {
  const axes = c.axes(0);
  const repeats = c.ints(1)?.items;
  return [
    axes?.map((axis, i) => {
      const times = repeats?.[i];
      if (plain(times) === 1) return axis;
      if (axis.length === 0 && times?.factor === 1 && times.atoms.length > 0) return times.atoms;
      return freshAxis(c, `${i}`, null);
    }) ?? null,
  ];
};

const constantOfShape: Rule = (c) => {
  const target = c.ints(0)?.items;
  return [
    target?.map((size, i) => {
      if (size && size.factor === 1 && size.atoms.length > 0) return size.atoms;
      return freshAxis(c, `${i}`, positive(plain(size)));
    }) ?? null,
  ];
};

const constant: Rule = (c) => {
  const value = findAttribute(c.node, "value")?.t;
  const list = ["value_ints", "value_floats", "value_strings"]
    .map((name) => findAttribute(c.node, name))
    .find(Boolean);
  if (value) return [value.dims.map((dim, i) => freshAxis(c, `${i}`, Number(dim)))];
  return [list ? [freshAxis(c, "0", list.ints.length + list.floats.length + list.strings.length)] : []];
};

/** Number of sizes a Shape returns: since opset 15 it may be asked for a part of them. */
function shapeLength(c: RuleContext): number | null {
  const rank = c.axes(0)?.length;
  if (rank === undefined) return null;
  const bound = (name: string, absent: number): number => {
    const value = intAttribute(c.node, name, absent);
    return Math.min(Math.max(value < 0 ? value + rank : value, 0), rank);
  };
  return Math.max(bound("end", rank) - bound("start", 0), 0);
}

export const layoutRules: Readonly<Record<string, Rule>> = {
  ...cutRules,
  Transpose: transpose,
  Reshape: reshape,
  Unsqueeze: unsqueeze,
  Squeeze: squeeze,
  Flatten: flatten,
  Concat: concat,
  Expand: expand,
  Tile: tile,
  Constant: constant,
  ConstantOfShape: constantOfShape,
  Range: (c) => [[freshAxis(c, "0", null)]],
  Shape: (c) => [[freshAxis(c, "0", shapeLength(c))]],
  Size: () => [[]],
};
