/** Decides for one normalisation whether it is an attention site. */
import { axisKey, axisSize, sameAxis, type Atom, type Axis } from "../onnx/axes/atom.ts";
import { isFloat } from "../onnx/data-types.ts";
import { DataType, type NodeProto } from "../onnx/model.ts";
import { findScores } from "./find-scores.ts";
import { followMap, type MapPath } from "./follow-map.ts";
import { insertionPoint } from "./insertion.ts";
import { kindOf } from "./kind.ts";
import { maskOf } from "./mask.ts";
import type { Normalisation } from "./normalisation.ts";
import { streamBehind } from "./residual-stream.ts";
import { batchAtoms, sampleLayout } from "./sample-layout.ts";
import type { Scope } from "./scope.ts";
import type { AttentionSite } from "./site.ts";
import { valuesOf, type Values } from "./values.ts";

/** A site before it is numbered among the others. */
export interface Draft {
  readonly site: Omit<AttentionSite, "index" | "layer" | "axis" | "where" | "graph">;
  /** Equal for sites that see the same keys at the same positions. */
  readonly keys: string;
  /** Products of two activations on the way of the site's own sequence. */
  readonly behind: ReadonlySet<NodeProto>;
}

/** Why a normalisation is no site; `nearness` is higher the further the examination got. */
export interface Refusal {
  readonly reason: string;
  readonly nearness: number;
}

export function examine(scope: Scope, found: Normalisation): Draft | Refusal {
  const followed = followMap(scope, found);
  const [path] = followed.paths;
  if (!path) return { reason: followed.reasons[0] ?? "no product with values follows", nearness: 1 };
  if (followed.escape !== null) {
    return {
      reason: `its weights also meet values in a form that cannot be patched: ${followed.escape}`,
      nearness: 3,
    };
  }

  const queryAtom = atomOfQueries(path);
  const rank = scope.axes.rank(found.weights) ?? 0;
  const beside = found.axis === rank - 1 ? found.axis - 1 : found.axis + 1;
  const query = queryAtom?.label ?? beside;
  const scores = findScores(scope, { tensor: found.scores, key: found.axis, query });
  if ("reason" in scores) return { reason: scores.reason, nearness: 2 };

  const point = insertionPoint(followed.paths, found.axis, queryAtom?.id ?? null);
  if ("reason" in point) return { reason: point.reason, nearness: 3 };
  const axes = scope.axes.axes(point.tensor) ?? point.axes;
  const positions = axes.flatMap((_, i) => (i === point.key || i === point.query ? [] : [i]));
  const layout = sampleLayout(axes, positions, batchAtoms(scope));
  if ("reason" in layout) return { reason: layout.reason, nearness: 3 };
  const elementType = scope.types.of(point.tensor) ?? DataType.FLOAT;
  if (!isFloat(elementType)) return { reason: "the map is quantised where it could be patched", nearness: 3 };

  const values: Values[] = [];
  for (const each of followed.paths) {
    const side = valuesOf(scope, each);
    if ("reason" in side) return { reason: side.reason, nearness: 3 };
    values.push(side);
  }
  const permutation = [...layout.order, point.query, point.key];
  const keyAxis = values[0]?.keyAxis ?? [];
  const mask = maskOf(scope, scores.product.terms);
  return {
    site: {
      kind: kindOf(scope, scores.product),
      form: found.form,
      rank: axes.length,
      leading: layout.leading,
      dims: `${layout.leading},Tq,Tk`,
      elementType: elementType as DataType,
      heads: layout.heads,
      queries: axisSize(axes[point.query] ?? []),
      keys: axisSize(keyAxis),
      square: equallyLong(axes[point.query] ?? [], axes[point.key] ?? []),
      node: found.node.name === "" ? (found.node.output[0] ?? "") : found.node.name,
      map: point.tensor,
      mapPermutation: permutation.every((from, to) => from === to) ? null : permutation,
      mapReaders: point.readers,
      products: values.map(({ product }) => product),
      causal: mask.causal,
      mask: mask.text,
    },
    keys: keysIdentity(keyAxis, layout.windows),
    behind: streamBehind(scope, scores.product.queries).products,
  };
}

/** The marked atom of the axis that the product keeps as queries; null when it has a single position. */
function atomOfQueries(path: MapPath): Atom | null {
  const own = path.contraction[path.side];
  return path.stops.at(-1)?.axes[own.axes.indexOf(path.queryLetter)]?.at(-1) ?? null;
}

function equallyLong(a: Axis, b: Axis): boolean {
  return sameAxis(a, b) || (axisSize(a) !== null && axisSize(a) === axisSize(b));
}

function keysIdentity(keys: Axis, windows: Axis): string {
  return `${axisKey(keys)} in ${axisKey(windows)}`;
}
