/** How the leading axes of a map or its values belong to the samples of a batch. */
import { axisSize, type Axis } from "../onnx/axes/atom.ts";
import type { Scope } from "./scope.ts";
import type { LeadingDims } from "./site.ts";

/** Order and meaning of the leading axes. */
export interface SampleLayout {
  readonly leading: LeadingDims;
  /** Positions of the leading axes in the order `leading` names them. */
  readonly order: readonly number[];
  /** Number of heads when it is known. */
  readonly heads: number | null;
  /** Atoms of the windows a sample is cut into; empty without windows. */
  readonly windows: Axis;
}

/** Atoms of the first axis of every input: the samples of a batch. */
export function batchAtoms(scope: Scope): ReadonlySet<string> {
  return new Set(
    scope.graph.input
      .flatMap(({ name }) => (scope.index.input(name) ? (scope.axes.axes(name)?.[0] ?? []) : []))
      .map(({ id }) => id),
  );
}

/**
 * @param axes axes of the tensor
 * @param positions its leading axes, in the order the tensor has them
 * @param batch ids of the atoms that run over samples
 * @returns the layout, or why it cannot be told apart into samples
 */
export function sampleLayout(
  axes: readonly Axis[],
  positions: readonly number[],
  batch: ReadonlySet<string>,
): SampleLayout | { readonly reason: string } {
  const holds = (position: number): boolean => axes[position]?.some(({ id }) => batch.has(id)) ?? false;
  const found = positions.find(holds);
  // A batch of one leaves no trace in the axes: then the usual order holds.
  const outer = found ?? positions[0];
  if (outer === undefined) return { reason: "the map has no axis for the samples of a batch" };
  const outerAxis = axes[outer] ?? [];
  const at = outerAxis.findIndex(({ id }) => batch.has(id));
  const inner = found === undefined ? outerAxis : outerAxis.slice(at + 1);
  const before = found === undefined ? [] : outerAxis.slice(0, at);
  const others = positions.filter((position) => position !== outer);
  const windows = inner.filter(({ constant }) => !constant);

  if (others.length === 0) {
    if (windows.length > 0 && windows.length < inner.length)
      return { reason: "windows and heads share one axis" };
    if (before.length > 0) {
      return before.every(({ constant }) => constant) && inner.length === 0
        ? { leading: "H*B", order: [outer], heads: axisSize(before), windows: [] }
        : { reason: "the samples are not the outer part of the first axis" };
    }
    return { leading: "B*H", order: [outer], heads: axisSize(inner), windows: [] };
  }
  if (before.length > 0) return { reason: "the samples are not the outer part of their axis" };
  if (others.length === 1) {
    const [heads = 0] = others;
    const leading = found !== undefined && inner.length > 0 ? "B*nW,H" : "B,H";
    return {
      leading,
      order: [outer, heads],
      heads: axisSize(axes[heads] ?? []),
      windows: leading === "B*nW,H" ? inner : [],
    };
  }
  if (others.length === 2 && (found === undefined || inner.length === 0)) {
    const isWindow = (position: number): boolean =>
      axes[position]?.some(({ constant }) => !constant) ?? false;
    const window = others.find(isWindow);
    if (window === undefined) {
      return {
        leading: "B,H,G",
        order: [outer, ...others],
        heads: axisSize(others.flatMap((i) => axes[i] ?? [])),
        windows: [],
      };
    }
    const heads = others.find((position) => position !== window) ?? 0;
    return {
      leading: "B,nW,H",
      order: [outer, window, heads],
      heads: axisSize(axes[heads] ?? []),
      windows: axes[window] ?? [],
    };
  }
  return { reason: `a map with ${positions.length} leading axes cannot be brought to samples and heads` };
}
