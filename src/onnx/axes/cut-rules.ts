/** Operators that pick a part of an axis or lengthen it. The same cut of the same axis is the same part. */
import { intsAttribute } from "../model.ts";
import { axisSize } from "./atom.ts";
import { sliceIndices } from "./integers.ts";
import { axesArgument, axisAttribute, freshAxis, origins, type Rule, type RuleContext } from "./rule.ts";
import { plain, plainItems } from "./size.ts";

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

export const cutRules: Readonly<Record<string, Rule>> = {
  Split: split,
  Slice: slice,
  Gather: gather,
  GatherElements: gatherElements,
  Pad: pad,
};
