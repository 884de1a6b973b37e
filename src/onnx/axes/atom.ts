/**
 * What an axis of a tensor is made of. An atom is an axis that some input, constant or operator introduced; reshapes
 * merge atoms into one axis ("batch·heads") and split them again, and most operators hand them on unchanged. Two axes
 * made of the same atoms run over the same positions: that is how a batch, a head or a token axis is recognised
 * whatever the exporter wrote. An axis of size 1 has no atoms.
 */
export interface Atom {
  readonly id: string;
  /** Equal for axes that are known to have the same number of positions: marked copies, dimensions of one name. */
  readonly length: string;
  /** Number of positions when it is known. */
  readonly size: number | null;
  /** Atoms made earlier come first where two operands disagree; labels come before all. */
  readonly priority: number;
  /** Whether the axis comes from a constant (features of a weight) rather than from the data. */
  readonly constant: boolean;
  /** Mark put on an axis to follow it through operators; handed on to the parts of a split. */
  readonly label: number | null;
  /** Set on the halves of a split. */
  readonly half: { readonly of: Atom; readonly part: "major" | "minor"; readonly minorSize: number } | null;
}

/** Atoms of one axis, major first. */
export type Axis = readonly Atom[];

/** Makes atoms; the same name always gives the same atom. */
export class AtomTable {
  readonly #atoms = new Map<string, Atom>();

  make(id: string, size: number | null, constant: boolean, length = id): Atom {
    return this.#add(id, { length, size, constant, label: null, half: null });
  }

  /** A part of an axis, named by what was done to it; it keeps the mark of the axis. */
  part(axis: Axis, what: string, size: number | null): Axis {
    const constant = axis.every((atom) => atom.constant);
    const label = axis[0]?.label ?? null;
    const id = `${axisKey(axis)}[${what}]`;
    const length = `${axis.map((atom) => atom.length).join("*")}[${what}]`;
    const priority = label === null ? undefined : -1;
    return size === 1 ? [] : [this.#add(id, { length, size, constant, label, half: null }, priority)];
  }

  /** An axis with one new atom; empty for size 1. */
  axis(id: string, size: number | null, constant: boolean, length = id): Axis {
    return size === 1 ? [] : [this.make(id, size, constant, length)];
  }

  /** Copies of the atoms of an axis that carry a mark. */
  labelled(axis: Axis, label: number): Axis {
    return axis.map(({ id, length, size, constant }) =>
      this.#add(`@${label}:${id}`, { length, size, constant, label, half: null }, -1),
    );
  }

  /** The two halves of an atom whose minor half has `minorSize` positions; its size must be a multiple of that. */
  split(atom: Atom, minorSize: number): readonly [Atom, Atom] {
    const half = (part: "major" | "minor", size: number | null): Atom =>
      this.#add(
        `${atom.id}/${minorSize}.${part}`,
        {
          length: `${atom.length}/${minorSize}.${part}`,
          size,
          constant: atom.constant,
          label: atom.label,
          half: { of: atom, part, minorSize },
        },
        atom.priority,
      );
    return [half("major", atom.size === null ? null : atom.size / minorSize), half("minor", minorSize)];
  }

  /** Joins halves that lie side by side again. */
  join(axis: Axis): Axis {
    const joined: Atom[] = [];
    for (const atom of axis) {
      let next = atom;
      for (let before = joined.at(-1); before && isSplitPair(before, next); before = joined.at(-1)) {
        joined.pop();
        next = before.half?.of ?? next;
      }
      joined.push(next);
    }
    return joined;
  }

  #add(id: string, fields: Omit<Atom, "id" | "priority">, priority = this.#atoms.size): Atom {
    const found = this.#atoms.get(id);
    if (found) return found;
    const atom = { id, priority, ...fields };
    this.#atoms.set(id, atom);
    return atom;
  }
}

function isSplitPair(major: Atom, minor: Atom): boolean {
  return (
    major.half?.part === "major" &&
    minor.half?.part === "minor" &&
    major.half.of.id === minor.half.of.id &&
    major.half.minorSize === minor.half.minorSize
  );
}

/** Text that is equal for equal axes. */
export function axisKey(axis: Axis): string {
  return axis.map(({ id }) => id).join("*");
}

export function sameAxis(a: Axis, b: Axis): boolean {
  return axisKey(a) === axisKey(b);
}

/** Number of positions when it is known. */
export function axisSize(axis: Axis): number | null {
  return axis.reduce<number | null>(
    (product, { size }) => (product === null || size === null ? null : product * size),
    1,
  );
}
