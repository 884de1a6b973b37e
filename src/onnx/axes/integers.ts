/** The arithmetic on sizes with which graphs compute the targets of their reshapes. */
import { findAttribute, intAttribute, intsAttribute, type TensorProto } from "../model.ts";
import { smallNumbers } from "../tensor-data.ts";
import { fromFront, type RuleContext } from "./rule.ts";
import {
  number,
  over,
  plain,
  plainItems,
  plus,
  sameSize,
  sizeOfAxis,
  times,
  type IntTensor,
  type Size,
} from "./size.ts";

/** Integers and booleans beyond this many are not followed. */
const most = 512;

/** A constant as integers; null for other types and for large ones. */
export function integersOf(tensor: TensorProto): IntTensor | null {
  const values = smallNumbers(tensor, most);
  return values ? { dims: tensor.dims.map(Number), items: values.map(number) } : null;
}

type IntRule = (c: RuleContext) => IntTensor | null;

/** Values of the first output of a node; null when they cannot be told. */
export function integersMade(context: RuleContext): IntTensor | null {
  return rules[context.node.opType]?.(context) ?? null;
}

const pass: IntRule = (c) => c.ints(0);
const elementwise =
  (combine: (a: Size | null, b: Size | null, c: RuleContext) => Size | null): IntRule =>
  (c) => {
    const [a, b] = [c.ints(0), c.ints(1)];
    return a && b ? zip([a, b], ([x, y]) => combine(x ?? null, y ?? null, c)) : null;
  };
const plainly = (combine: (a: number, b: number) => number): IntRule =>
  elementwise((a, b) => {
    const [x, y] = [plain(a), plain(b)];
    return x === null || y === null ? null : number(combine(x, y));
  });

const rules: Readonly<Record<string, IntRule>> = {
  Identity: pass,
  Cast: pass,
  Floor: pass,
  Ceil: pass,
  Constant: (c) => constant(c),
  Shape: (c) => shape(c),
  Size: (c) => {
    const axes = c.axes(0);
    return axes && { dims: [], items: [axes.map(sizeOfAxis).reduce<Size | null>(times, number(1))] };
  },
  Add: elementwise((a, b) => plus(a, b, 1)),
  Sub: elementwise((a, b) => plus(a, b, -1)),
  Mul: elementwise(times),
  Div: elementwise((a, b, c) => over(c.table, a, b)),
  Mod: plainly((a, b) => ((a % b) + b) % b),
  Max: plainly(Math.max),
  Min: plainly(Math.min),
  Equal: elementwise((a, b) => (a && b ? equal(a, b) : null)),
  Where: (c) => {
    const [condition, a, b] = [c.ints(0), c.ints(1), c.ints(2)];
    if (!condition || !a || !b) return null;
    return zip([condition, a, b], ([test, x, y]) => {
      const chosen = plain(test);
      if (chosen !== null) return (chosen !== 0 ? x : y) ?? null;
      return x && y && sameSize(x, y) ? x : null;
    });
  },
  ConstantOfShape: (c) => {
    const dims = plainItems(c.ints(0));
    const value = findAttribute(c.node, "value")?.t;
    const fill = value ? smallNumbers(value)?.[0] : 0;
    const count = dims?.reduce((product, dim) => product * dim, 1);
    if (!dims || count === undefined || count > most || fill === undefined) return null;
    return { dims, items: Array.from({ length: count }, () => number(fill)) };
  },
  Unsqueeze: flat,
  Squeeze: flat,
  Concat: (c) => {
    const parts = c.node.input.map((_, i) => c.ints(i));
    if (parts.some((part) => part && part.dims.length !== 1)) return null;
    const items = parts.flatMap((part, i): (Size | null | undefined)[] =>
      part ? [...part.items] : unknownItems(c, i),
    );
    return items.includes(undefined) ? null : vector(items.map((item) => item ?? null));
  },
  Gather: (c) => {
    const [data, index] = [c.ints(0), c.ints(1)];
    const picks = plainItems(index);
    if (!data || data.dims.length !== 1 || !index || !picks) return null;
    return { dims: index.dims, items: picks.map((i) => data.items.at(i) ?? null) };
  },
  Slice: (c) => slice(c),
  Reshape: (c) => {
    const [data, target] = [c.ints(0), plainItems(c.ints(1))];
    if (!data || !target) return null;
    const known = target.filter((dim) => dim > 0).reduce((product, dim) => product * dim, 1);
    return { dims: target.map((dim) => (dim === -1 ? data.items.length / known : dim)), items: data.items };
  },
  Transpose: (c) => {
    const data = c.ints(0);
    const [rows, columns] = data?.dims ?? [];
    if (!data || data.dims.length !== 2 || rows === undefined || columns === undefined) return null;
    const items = Array.from(
      { length: columns * rows },
      (_, i) => data.items[(i % rows) * columns + Math.floor(i / rows)] ?? null,
    );
    return { dims: [columns, rows], items };
  },
  ReduceProd: (c) => {
    const data = c.ints(0);
    return (
      data && {
        dims: intAttribute(c.node, "keepdims", 1) ? [1] : [],
        items: [data.items.reduce(times, number(1))],
      }
    );
  },
};

const vector = (items: readonly (Size | null)[]): IntTensor => ({ dims: [items.length], items });

function equal(a: Size, b: Size): Size | null {
  if (sameSize(a, b)) return number(1);
  // A size is never negative, so a multiple of unknown sizes differs from any negative number.
  const differ =
    a.atoms.length === 0 ? b.atoms.length === 0 || a.factor < 0 : b.atoms.length === 0 && b.factor < 0;
  return differ ? number(0) : null;
}

/** Items of an input whose values are unknown but whose length is known. */
function unknownItems(c: RuleContext, input: number): (null | undefined)[] {
  const axes = c.axes(input);
  const length = axes?.length === 1 ? sizeOfAxis(axes[0] ?? []) : null;
  const count = plain(length);
  return count !== null && count <= most ? Array.from({ length: count }, () => null) : [undefined];
}

function constant({ node }: RuleContext): IntTensor | null {
  const value = findAttribute(node, "value")?.t;
  if (value) return integersOf(value);
  const single = findAttribute(node, "value_int") ?? findAttribute(node, "value_float");
  if (single) return { dims: [], items: [number(single.name === "value_int" ? Number(single.i) : single.f)] };
  const several = intsAttribute(node, "value_ints");
  return several ? vector(several.map(number)) : null;
}

function shape(c: RuleContext): IntTensor | null {
  const axes = c.axes(0);
  if (!axes) return null;
  const bound = (name: string, fallback: number): number => {
    const value = intAttribute(c.node, name, fallback);
    return Math.max(0, Math.min(axes.length, value < 0 ? value + axes.length : value));
  };
  return vector(axes.slice(bound("start", 0), bound("end", axes.length)).map(sizeOfAxis));
}

/** Squeeze and Unsqueeze between a scalar and a vector of one item. */
function flat(c: RuleContext): IntTensor | null {
  const data = c.ints(0);
  if (!data) return null;
  const unsqueeze = c.node.opType === "Unsqueeze";
  if (unsqueeze && data.dims.length === 0) return vector(data.items);
  if (!unsqueeze && data.items.length === 1) return { dims: [], items: data.items };
  return null;
}

function slice(c: RuleContext): IntTensor | null {
  const data = c.ints(0);
  const attribute = intsAttribute(c.node, "starts");
  const starts = attribute ?? plainItems(c.ints(1));
  const ends = attribute ? intsAttribute(c.node, "ends") : plainItems(c.ints(2));
  const axes = attribute
    ? (intsAttribute(c.node, "axes") ?? null)
    : c.node.input[3]
      ? plainItems(c.ints(3))
      : null;
  const steps = !attribute && c.node.input[4] ? plainItems(c.ints(4)) : [1];
  if (!data || starts?.length !== 1 || ends?.length !== 1 || steps?.length !== 1) return null;
  const axis = fromFront(axes?.[0] ?? 0, data.dims.length);
  const [start, end, step] = [starts[0] ?? 0, ends[0] ?? 0, steps[0] ?? 1];
  if (axis !== 0 || step === 0) return null;
  const rows = data.dims[0] ?? 0;
  const width = data.items.length / Math.max(1, rows);
  const picked = sliceIndices(rows, start, end, step);
  return {
    dims: [picked.length, ...data.dims.slice(1)],
    items: picked.flatMap((row) => data.items.slice(row * width, (row + 1) * width)),
  };
}

/** Positions a slice picks, by the rules of the Slice operator. */
export function sliceIndices(length: number, start: number, end: number, step: number): number[] {
  const clamp = (value: number, low: number, high: number): number =>
    Math.max(low, Math.min(high, value < 0 ? value + length : value));
  const [low, high] = step > 0 ? [0, length] : [-1, length - 1];
  const from = clamp(start, step > 0 ? low : 0, high);
  const to = clamp(end, low, high);
  const picked: number[] = [];
  for (let i = from; step > 0 ? i < to : i > to; i += step) picked.push(i);
  return picked;
}

/** Combines tensors item by item; one operand may be a single item. */
function zip(
  tensors: readonly IntTensor[],
  combine: (items: (Size | null)[]) => Size | null,
): IntTensor | null {
  const largest = tensors.reduce((a, b) =>
    b.items.length > a.items.length || b.dims.length > a.dims.length ? b : a,
  );
  if (tensors.some(({ items }) => items.length !== 1 && items.length !== largest.items.length)) return null;
  const items = largest.items.map((_, i) =>
    combine(tensors.map((t) => t.items[t.items.length === 1 ? 0 : i] ?? null)),
  );
  return { dims: largest.dims, items };
}
