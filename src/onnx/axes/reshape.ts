/** Which atoms the axes of a reshaped tensor are made of. */
import { axisSize, type Atom, type AtomTable, type Axis } from "./atom.ts";
import { plain, sizeOfAxis, type Size } from "./size.ts";

/** An atom of the input and the axis it came from. */
interface Part {
  atom: Atom;
  readonly axis: number;
}

/**
 * A reshape keeps the row-major order of elements, so the atoms of the result are those of the input in the same
 * order, cut elsewhere. They are dealt out from the front and then from the back as far as the sizes are known; what
 * is left in the middle belongs to the one size that was not.
 * @param target sizes asked for; null where unknown, -1 for "the rest", 0 for "as in the input"
 * @param allowZero whether 0 means an empty axis
 * @param fresh makes an axis that cannot be traced, by position and size
 */
export function reshapeAxes(
  table: AtomTable,
  input: readonly Axis[],
  target: readonly (Size | null)[],
  allowZero: boolean,
  fresh: (position: number, size: number | null) => Axis,
): readonly Axis[] {
  const rest: Part[] = input.flatMap((axis, i) => axis.map((atom) => ({ atom, axis: i })));
  const wanted = target.map((size, i) => {
    const value = plain(size);
    if (value === -1) return null;
    const copied = input[i];
    return value === 0 && !allowZero && copied ? sizeOfAxis(copied) : size;
  });
  const output: (Axis | undefined)[] = wanted.map(() => undefined);
  let [first, last] = [0, wanted.length - 1];
  for (
    let taken: Axis | null;
    first <= last && (taken = take(table, rest, wanted[first], "front"));
    first++
  ) {
    output[first] = taken;
  }
  for (let taken: Axis | null; last >= first && (taken = take(table, rest, wanted[last], "back")); last--) {
    output[last] = taken;
  }
  const open = last - first + 1;
  if (open === 1) {
    const size = plain(wanted[first]);
    const middle = rest.map(({ atom }) => atom);
    const known = axisSize(middle);
    if (size === null || known === null || known === size) output[first] = table.join(middle);
  } else if (open > 1) {
    const axes = new Map<number, Atom[]>();
    for (const { atom, axis } of rest) axes.set(axis, [...(axes.get(axis) ?? []), atom]);
    [...axes.values()].forEach((atoms, i) => {
      const size = plain(wanted[first + i]);
      const fits = size === null || size === (axisSize(atoms) ?? size);
      if (axes.size === open && fits) output[first + i] = table.join(atoms);
    });
  }
  return output.map((axis, i) => axis ?? fresh(i, plain(wanted[i])));
}

/** Takes atoms whose sizes multiply to `size` off one end of `rest`, splitting the last when needed; null: no fit. */
function take(
  table: AtomTable,
  rest: Part[],
  size: Size | null | undefined,
  end: "front" | "back",
): Axis | null {
  if (!size || size.factor <= 0) return null;
  const open = [...rest];
  const taken: Atom[] = [];
  const wanted = [...size.atoms];
  let factor = size.factor;
  const add = (atom: Atom): void => void (end === "front" ? taken.push(atom) : taken.unshift(atom));
  const drop = (): void => void (end === "front" ? open.shift() : open.pop());
  const replace = (part: Part, atom: Atom): void => {
    open[end === "front" ? 0 : open.length - 1] = { atom, axis: part.axis };
  };
  while (factor !== 1 || wanted.length > 0) {
    const part = end === "front" ? open[0] : open.at(-1);
    if (!part) return null;
    const { atom } = part;
    const named = wanted.findIndex(({ length }) => length === atom.length);
    const major = wanted.findIndex(({ half }) => half?.part === "major" && half.of.length === atom.length);
    if (named >= 0) {
      wanted.splice(named, 1);
      add(atom);
      drop();
    } else if (end === "front" && major >= 0) {
      const [first, second] = table.split(atom, wanted[major]?.half?.minorSize ?? 1);
      wanted.splice(major, 1);
      add(first);
      replace(part, second);
    } else if (atom.size !== null && factor % atom.size === 0) {
      factor /= atom.size;
      add(atom);
      drop();
    } else if (
      factor > 1 &&
      (atom.size === null ? end === "back" && wanted.length === 0 : atom.size % factor === 0)
    ) {
      const minorSize = end === "back" ? factor : (atom.size ?? 1) / factor;
      const [first, second] = table.split(atom, minorSize);
      add(end === "front" ? first : second);
      replace(part, end === "front" ? second : first);
      factor = 1;
    } else return null;
  }
  rest.splice(0, rest.length, ...open);
  return table.join(taken);
}
