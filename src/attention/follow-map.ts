/** Follows a map forward from its normalisation to the products with values. */
import { axisSize, type Axis } from "../onnx/axes/atom.ts";
import type { Contraction } from "../onnx/contraction.ts";
import type { TensorReader } from "../onnx/graph-index.ts";
import type { NodeProto } from "../onnx/model.ts";
import type { Normalisation } from "./normalisation.ts";
import type { Scope } from "./scope.ts";
import { stepOf } from "./steps.ts";

/** One tensor on the way from the normalisation to a product. */
export interface Stop {
  readonly tensor: string;
  /** Axes whose atoms carry the position of the axis of the weights they come from as a mark. */
  readonly axes: readonly Axis[];
  /** How the previous tensor became this one; "weights" for the first. */
  readonly by: "weights" | "value" | "layout" | "quantise";
}

/** One product of the map with values. */
export interface MapPath {
  readonly stops: readonly Stop[];
  /** Where each stop but the last is read on the way; the last entry reads at the product. */
  readonly readers: readonly TensorReader[];
  readonly product: NodeProto;
  readonly contraction: Contraction;
  /** Side of the product that holds the map. */
  readonly side: "left" | "right";
  /** Letters of the product for keys and queries; no query letter where one query was squeezed away. */
  readonly keyLetter: string;
  readonly queryLetter: string;
}

export interface Followed {
  readonly paths: readonly MapPath[];
  /** Why the ways that reach no product end, nearest miss first. */
  readonly reasons: readonly string[];
  /** Why weights that meet values elsewhere cannot be followed there; null when all that do are. */
  readonly escape: string | null;
}

/** Most steps on one way; real exports have fewer than ten. */
const longest = 24;

export function followMap(scope: Scope, start: Normalisation): Followed {
  const axes = scope.axes.axes(start.weights) ?? [];
  const marked = axes.map((axis, i) => scope.axes.table.labelled(axis, i));
  const paths: MapPath[] = [];
  const reasons: { reason: string; depth: number }[] = [];
  const open: { stops: Stop[]; readers: TensorReader[] }[] = [
    { stops: [{ tensor: start.weights, axes: marked, by: "weights" }], readers: [] },
  ];
  const seen = new Set<string>();
  let escape: string | null = null;

  for (let way = open.pop(); way; way = open.pop()) {
    const stop = way.stops.at(-1);
    if (!stop || way.stops.length > longest) continue;
    if (scope.index.isOutput(stop.tensor))
      reasons.push({ reason: "it is an output of the model, no product with values follows", depth: 0 });
    for (const reader of scope.index.readers(stop.tensor)) {
      const reached = product(scope, start, stop, reader);
      if (reached && "reason" in reached)
        reasons.push({ reason: reached.reason, depth: way.stops.length + 10 });
      else if (reached) paths.push({ stops: way.stops, readers: [...way.readers, reader], ...reached });
      if (reached) continue;
      const step = stepOf(scope, reader);
      if (step === "aside") continue;
      if (typeof step !== "string") {
        reasons.push({ reason: step.reason, depth: way.stops.length });
        continue;
      }
      const results = scope.axes.through(reader.node, new Map([[stop.tensor, stop.axes]]));
      reader.node.output.forEach((tensor, i) => {
        const result = results[i];
        if (tensor === "" || (i > 0 && reader.node.opType !== "Split")) return;
        const fault = result ? lost(start.axis, stop.axes, result) : "the axes are lost";
        if (fault !== null || !result) {
          const reason = `${reader.node.opType}: ${fault}`;
          reasons.push({ reason, depth: way.stops.length });
          if (reachesProduct(scope, tensor)) escape = reason;
        } else if (!seen.has(tensor)) {
          seen.add(tensor);
          open.push({
            stops: [...way.stops, { tensor, axes: result, by: step }],
            readers: [...way.readers, reader],
          });
        }
      });
    }
  }
  reasons.sort((a, b) => b.depth - a.depth);
  return { paths, reasons: reasons.map(({ reason }) => reason), escape };
}

/** Whether a tensor gets, by whatever steps, into a product of two activations. */
function reachesProduct(scope: Scope, start: string): boolean {
  const seen = new Set([start]);
  for (const tensor of seen) {
    for (const { node } of scope.index.readers(tensor)) {
      if (scope.isDataProduct(node)) return true;
      if (node.opType !== "Shape") node.output.forEach((output) => seen.add(output));
    }
  }
  return false;
}

/** Position of the axis whose atoms all carry the mark; null when there is none or it is merged or cut up. */
export function markedAxis(axes: readonly Axis[], mark: number): number | null {
  const holding = axes.flatMap((axis, i) => (axis.some(({ label }) => label === mark) ? [i] : []));
  const only = holding.length === 1 ? holding[0] : undefined;
  return only !== undefined && axes[only]?.every(({ label }) => label === mark) ? only : null;
}

/** What went wrong with the axes of a map in one step; null when it is still a map. */
function lost(key: number, before: readonly Axis[], after: readonly Axis[]): string | null {
  const wasMarked = markedAxis(before, key) !== null;
  if (wasMarked && markedAxis(after, key) === null) return "the key axis is merged with another or cut up";
  const foreign = after.find((axis) => axis.length > 0 && axis.every(({ label }) => label === null));
  const grows =
    foreign && !before.some((axis) => axis.length > 0 && axis.every(({ label }) => label === null));
  return grows ? "the weights meet the values element by element, not in a product over keys" : null;
}

type Reached =
  | Pick<MapPath, "product" | "contraction" | "side" | "keyLetter" | "queryLetter">
  | { readonly reason: string };

/** What happens when the reader is a product; null when it is none. */
function product(scope: Scope, start: Normalisation, stop: Stop, reader: TensorReader): Reached | null {
  const { node, input } = reader;
  const contraction = scope.contraction(node, new Map([[stop.tensor, stop.axes]]));
  if (!contraction) return null;
  const side = contraction.left.input === input ? "left" : contraction.right.input === input ? "right" : null;
  if (side === null) return null;
  const own = contraction[side];
  const other = contraction[side === "left" ? "right" : "left"];
  const key = markedAxis(stop.axes, start.axis);
  const keyLetter = key === null ? undefined : own.axes[key];
  if (keyLetter === undefined) return { reason: "the key axis has a single position" };
  const values = node.input[other.input] ?? "";
  const contracted = !contraction.output.includes(keyLetter) && other.axes.includes(keyLetter);
  if (!contracted) {
    return {
      reason: scope.isData(values)
        ? "the weights are multiplied with another tensor, but not over the axis they sum to one over"
        : "the weights are mixed across heads or queries by a constant matrix before they meet the values",
    };
  }
  if (!scope.isData(values))
    return { reason: "the values are constants (a codebook or fixed weights), no activations" };
  const free = own.axes.filter(
    (letter) => letter !== keyLetter && !other.axes.includes(letter) && contraction.output.includes(letter),
  );
  // Of several free axes the one that varies fastest holds the queries; the others hold heads that share their values.
  const queryLetter =
    free.findLast((letter) => (axisSize(stop.axes[own.axes.indexOf(letter)] ?? []) ?? 2) > 1) ?? free.at(-1);
  if (queryLetter === undefined)
    return { reason: "there is one weight per key and no query axis: the values are pooled" };
  return { product: node, contraction, side, keyLetter, queryLetter };
}
