/** Sizes as a graph computes them for its reshapes: a number times the sizes of atoms. */
import type { Atom, AtomTable, Axis } from "./atom.ts";

/** `factor` · the sizes of `atoms`, which are unknown each. */
export interface Size {
  readonly factor: number;
  readonly atoms: readonly Atom[];
}

/** A small integer tensor; unknown items are null. */
export interface IntTensor {
  readonly dims: readonly number[];
  readonly items: readonly (Size | null)[];
}

export const number = (factor: number): Size => ({ factor, atoms: [] });

/** The value when it is a plain number. */
export function plain(size: Size | null | undefined): number | null {
  return size && size.atoms.length === 0 ? size.factor : null;
}

/** All items when every one is a plain number. */
export function plainItems(tensor: IntTensor | null): number[] | null {
  const items = tensor?.items.map(plain);
  return items && items.every((item) => item !== null) ? items : null;
}

/** The size of an axis. */
export function sizeOfAxis(axis: Axis): Size {
  return {
    factor: axis.reduce((product, { size }) => product * (size ?? 1), 1),
    atoms: axis.filter(({ size }) => size === null),
  };
}

export function times(a: Size | null, b: Size | null): Size | null {
  if (!a || !b) return null;
  return a.factor === 0 || b.factor === 0
    ? number(0)
    : { factor: a.factor * b.factor, atoms: [...a.atoms, ...b.atoms] };
}

/** Sum or difference (`sign` -1); known for plain numbers and for multiples of the same atoms. */
export function plus(a: Size | null, b: Size | null, sign: 1 | -1): Size | null {
  if (!a || !b) return null;
  if (b.factor === 0) return a;
  if (idsOf(a) !== idsOf(b)) return null;
  const factor = a.factor + sign * b.factor;
  return factor === 0 ? number(0) : { factor, atoms: a.atoms };
}

/**
 * Quotient. An unknown atom divided by a number is taken as the major half of a split: graphs divide sizes to cut an
 * axis into windows, and those divide evenly.
 */
export function over(table: AtomTable, a: Size | null, b: Size | null): Size | null {
  if (!a || !b || b.factor === 0) return null;
  const left = [...a.atoms];
  for (const atom of b.atoms) {
    const at = left.findIndex(({ length }) => length === atom.length);
    if (at < 0) return null;
    left.splice(at, 1);
  }
  if (a.factor % b.factor === 0) return { factor: a.factor / b.factor, atoms: left };
  if (left.length === 0) return number(Math.floor(a.factor / b.factor));
  const first = left[0];
  if (a.factor !== 1 || left.length !== 1 || !first || b.factor < 0) return null;
  return { factor: 1, atoms: [table.split(first, b.factor)[0]] };
}

export function sameSize(a: Size, b: Size): boolean {
  return a.factor === b.factor && idsOf(a) === idsOf(b);
}

function idsOf(size: Size): string {
  return size.atoms
    .map(({ length }) => length)
    .toSorted()
    .join("*");
}
