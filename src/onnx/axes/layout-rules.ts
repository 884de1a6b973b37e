/** Operators that move, cut, join or repeat axes. */
import { findAttribute, intAttribute, intsAttribute } from "../model.ts";
import { axisKey, axisSize, sameAxis, type Axis } from "./atom.ts";
import { sliceIndices } from "./integers.ts";
import { reshapeAxes } from "./reshape.ts";
import {
  axisAttribute,
  broadcastAxes,
  freshAxis,
  fromFront,
  origins,
  type Rule,
  type RuleContext,
} from "./rule.ts";
import { plain, plainItems, type Size } from "./size.ts";

/** Axes given as an input (newer opsets) or as an attribute; null when unknown, undefined when absent. */
export function axesArgument(c: RuleContext, input: number, rank: number): number[] | null | undefined {
  const attribute = intsAttribute(c.node, "axes");
  if (!attribute && (c.node.input[input] ?? "") === "") return undefined;
  const axes = attribute ?? plainItems(c.ints(input));
  const front = axes?.map((axis) => fromFront(axis, rank));
  return front?.every((axis) => axis !== null) ? front : null;
}

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

const split: Rule = (c) => {
  const axes = c.axes(0);
  const at = axes ? axisAttribute(c, axes.length, 0) : null;
  if (!axes || at === null) return c.node.output.map(() => null);
  const axis = axes[at] ?? [];
  const total = axisSize(axis);
  const count = c.node.output.length;
  const given = intsAttribute(c.node, "split") ?? (c.node.input[1] ? plainItems(c.ints(1)) : null);
  const chunk = total === null ? null : Math.ceil(total / count);
  const even = (i: number): number | null =>
    chunk === null || total === null ? null : Math.min(chunk, total - i * chunk);
  let start = 0;
  return c.node.output.map((_, i) => {
    const size = given ? (given[i] ?? null) : even(i);
    const what = size === null ? `${i} of ${count}` : `${start}:+${size}:1`;
    start += size ?? 0;
    return axes.map((old, position) => (position === at ? c.table.part(old, what, size) : old));
  });
};

const slice: Rule = (c) => {
  const axes = c.axes(0);
  if (!axes) return [null];
  const attribute = intsAttribute(c.node, "starts");
  const starts = attribute ?? c.ints(1)?.items.map(plain);
  const ends = attribute ? intsAttribute(c.node, "ends") : c.ints(2)?.items.map(plain);
  const steps = c.node.input[4] ? c.ints(4)?.items.map(plain) : undefined;
  const count = starts?.length ?? ends?.length ?? axisSize(c.axes(1)?.[0] ?? []);
  const given = attribute || c.node.input[3] ? sliceAxes(c, axes.length, attribute !== undefined) : undefined;
  const positions = given ?? Array.from({ length: count ?? axes.length }, (_, i) => i);
  if (given === null) return [axes.map((_, i) => freshAxis(c, `${i}`, null))];
  return [
    axes.map((axis, position) => {
      const i = positions.indexOf(position);
      if (i < 0) return axis;
      const [start, end, step] = [
        starts?.[i] ?? null,
        ends?.[i] ?? null,
        c.node.input[4] ? (steps?.[i] ?? null) : 1,
      ];
      if (start === null || end === null || step === null) {
        return c.table.part(axis, `${c.node.output[0]}`, null);
      }
      const size = axisSize(axis);
      if (start === 0 && step === 1 && end >= (size ?? 2 ** 31 - 1)) return axis;
      // With a known size the part is named by what it picks, so that "2:9" and "2:end" are the same.
      const picked = size === null ? null : sliceIndices(size, start, end, step);
      const what = picked ? `${picked[0]}:+${picked.length}:${step}` : `${start}:${end}:${step}`;
      return c.table.part(axis, what, picked?.length ?? null);
    }),
  ];
};

function sliceAxes(c: RuleContext, rank: number, attribute: boolean): number[] | null | undefined {
  return attribute ? axesArgument(c, -1, rank) : axesArgument(c, 3, rank);
}

const gather: Rule = (c) => {
  const [axes, index] = [c.axes(0), c.axes(1)];
  const at = axes ? axisAttribute(c, axes.length, 0) : null;
  if (!axes || !index || at === null) return [null];
  const picked = plainItems(c.ints(1));
  const axis = axes[at] ?? [];
  // Rows chosen by data (token ids) run over the axes of the data; a fixed choice is a part of the old axis.
  const chosen =
    index.length === 1 && picked && c.origin(0) === origins.data
      ? [c.table.part(axis, picked.join(" "), picked.length)]
      : index;
  return [[...axes.slice(0, at), ...chosen, ...axes.slice(at + 1)]];
};

const gatherElements: Rule = (c) => {
  const [data, index] = [c.axes(0), c.axes(1)];
  const at = data ? axisAttribute(c, data.length, 0) : null;
  if (!index) return [data];
  return [index.map((axis, i) => (i === at || !data ? axis : (data[i] ?? axis)))];
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

const pad: Rule = (c) => {
  const axes = c.axes(0);
  const pads = intsAttribute(c.node, "pads") ?? c.ints(1)?.items.map(plain);
  const given = c.node.input[3] && axes ? axesArgument(c, 3, axes.length) : undefined;
  if (!axes || given === null) return [null];
  const positions = given ?? axes.map((_, i) => i);
  return [
    axes.map((axis, position) => {
      const i = positions.indexOf(position);
      const [before, after] = i < 0 ? [0, 0] : [pads?.[i] ?? null, pads?.[i + positions.length] ?? null];
      if (before === 0 && after === 0) return axis;
      const size = axisSize(axis);
      const padded = size === null || before === null || after === null ? null : size + before + after;
      return before === null || after === null
        ? freshAxis(c, `${position}`, null)
        : c.table.part(axis, `pad ${before} ${after}`, padded);
    }),
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

export const layoutRules: Readonly<Record<string, Rule>> = {
  Transpose: transpose,
  Reshape: reshape,
  Unsqueeze: unsqueeze,
  Squeeze: squeeze,
  Flatten: flatten,
  Concat: concat,
  Split: split,
  Slice: slice,
  Gather: gather,
  GatherElements: gatherElements,
  Expand: expand,
  Tile: tile,
  Pad: pad,
  Constant: constant,
  ConstantOfShape: constantOfShape,
  Range: (c) => [[freshAxis(c, "0", null)]],
  Shape: (c) => [[freshAxis(c, "0", c.axes(0)?.length ?? null)]],
  Size: () => [[]],
};
